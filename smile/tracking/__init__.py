"""Where numbers go: Parquet (the truth), wandb (a mirror), figures and what people read."""

from smile.tracking.files import write_bytes_atomic as write_bytes_atomic
from smile.tracking.files import write_text_atomic as write_text_atomic
from smile.tracking.parquet import is_finished as is_finished
from smile.tracking.parquet import read_metrics as read_metrics
from smile.tracking.parquet import read_run as read_run
from smile.tracking.parquet import write_metrics as write_metrics

"""From Parquet to Markdown, LaTeX, CSV and figures, beside the published values."""

from smile.tables.build import build_table as build_table
from smile.tables.reading import load_spec as load_spec
from smile.tables.reading import table_names as table_names
from smile.tables.spec import TableSpec as TableSpec

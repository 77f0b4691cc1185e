"""Data sets: where they come from, how they are split, and their mini-batches."""

from smile.data.augment import flip_crop_resize as flip_crop_resize
from smile.data.batches import Source as Source
from smile.data.batches import epoch_batch_indices as epoch_batch_indices
from smile.data.batches import rows_of as rows_of
from smile.data.batches import source as source
from smile.data.dataset import Dataset as Dataset
from smile.data.dataset import Split as Split
from smile.data.dataset import Units as Units
from smile.data.families import DataOptions as DataOptions
from smile.data.families import load_dataset as load_dataset
from smile.data.files import DataError as DataError
from smile.data.image_splits import split_images as split_images
from smile.data.image_splits import unfamiliar as unfamiliar
from smile.data.images import Images as Images
from smile.data.images import load_images as load_images
from smile.data.options import DATA as DATA
from smile.data.sources import load as load
from smile.data.tabular import Table as Table
from smile.data.tabular import split_and_standardise as split_and_standardise
from smile.data.tabular import standardised as standardised
from smile.data.text import Text as Text
from smile.data.text import encode as encode
from smile.data.text import load_text as load_text
from smile.data.text import split_text as split_text

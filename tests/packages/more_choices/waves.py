"""Noisy sine waves: a table that is made, not read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smile.data import DataOptions, Dataset, Table, split_and_standardise
from smile.options import integer, option


@dataclass(frozen=True, kw_only=True)
class Waves(DataOptions):
    """``data=waves``."""

    rows: int = option(integer(20))

    def read(self, seed: int) -> Dataset:
        """The table."""
        rng = np.random.default_rng(0)
        x = rng.uniform(-3, 3, (self.rows, 2))
        y = np.sin(x.sum(axis=1)) + 0.1 * rng.standard_normal(self.rows)
        return split_and_standardise(Table("waves", x, y, "regression"), seed=seed)

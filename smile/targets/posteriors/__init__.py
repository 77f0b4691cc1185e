"""Posteriors of real data with real mini-batches, whose truth a long run of NUTS says."""

from __future__ import annotations

from smile.targets.posteriors.options import POSTERIORS as POSTERIORS
from smile.targets.posteriors.options import Posterior as Posterior
from smile.targets.posteriors.rows import RowModel as RowModel

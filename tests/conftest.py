"""Fixtures of all tests."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator

import absl.logging
import pytest

os.environ.setdefault("WANDB_MODE", "offline")

# absl, which comes with optax, closes the stream of its handler when Hydra configures the logging, unless it is the
# process's own: pytest's capture would be gone.
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(autouse=True)
def hydra_logging_ends_with_the_test() -> Iterator[None]:
    """Hydra's handlers hold the standard error of one test."""
    handlers = list(logging.root.handlers)
    yield
    logging.root.handlers[:] = handlers

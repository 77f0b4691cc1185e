"""Fixtures of all tests."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import absl.logging
import pytest

os.environ.setdefault("WANDB_MODE", "offline")

# Many tests start `smile` anew, often with a program that another one has compiled.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"smile-tests-{os.getuid()}")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

# absl, which comes with optax, closes the stream of its handler when Hydra configures the logging, unless it is the
# process's own: pytest's capture would be gone.
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Commands in processes of their own, which take longest, begin first: none of them is waited for at the end."""
    items.sort(key=lambda item: "e2e" not in item.path.parts)


@pytest.fixture(autouse=True)
def hydra_logging_ends_with_the_test() -> Iterator[None]:
    """Hydra's handlers hold the standard error of one test."""
    handlers = list(logging.root.handlers)
    yield
    logging.root.handlers[:] = handlers

"""A user's own network, from a dotted path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn

from smile.dotted import import_callable, users_code
from smile.models.model import Model, from_flax
from smile.models.options import ModelOptions
from smile.options import ConfigError, dotted_path, option

__all__ = ["CustomModel", "custom"]


def custom(factory: str, num_outputs: int, digest: str = "") -> Model:
    """Imports ``package.module.name`` and calls it with the number of outputs that the likelihood needs.

    Args:
        factory: path of a flax module class, or of a function, that takes the number of outputs and returns a flax
            module or a ``Model`` (an ``init`` and an ``apply`` function).
        num_outputs: 1 or 2 for regression (mean; mean and log standard deviation), classes for classification.
        digest: that its code must have, see ``smile.code``; empty: any.

    Raises:
        ValueError: in one line, what is wrong with the path or what it returned.
    """
    function = import_callable(factory, digest)
    with users_code(f"{factory}({num_outputs}) raised"):
        made = function(num_outputs)
    if isinstance(made, nn.Module):
        return from_flax(made)
    if isinstance(made, Model):
        return made
    raise ValueError(f"{factory}({num_outputs}) returned {type(made).__name__}, not a flax module or a Model")


@dataclass(frozen=True, kw_only=True)
class CustomModel(ModelOptions):
    """``model=custom``."""

    reads: ClassVar[tuple[str, ...]] = ("numbers", "text")

    factory: str = option(dotted_path)

    def build(self, num_outputs: int, context: int | None = None) -> Model:
        """The user's own."""
        try:
            return custom(self.factory, num_outputs, self.code)
        except ValueError as error:
            raise ConfigError("model.factory", self.factory, f"a network; {error}") from None

"""What every ``model=...`` declares: its options, what it reads, and how the network is made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from smile.models.model import Model
from smile.options import Options, choice, option

__all__ = ["ACTIVATIONS", "Activation", "MixedPrecision", "ModelOptions", "activation_option"]

Activation = Literal["relu", "tanh", "gelu", "silu"]
ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = MappingProxyType(
    {"relu": nn.relu, "tanh": jnp.tanh, "gelu": nn.gelu, "silu": nn.silu}
)
activation_option = choice(*ACTIVATIONS)


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """The network.

    Attributes:
        reads: kinds of data that it can read, see ``smile.data.families``.
        reads_images: whether the numbers must be those of pixels, (rows, height, width, channels).
        factory: dotted path of a user's function that makes it; empty where it is nobody's.
    """

    group: ClassVar[str] = "model"
    reads: ClassVar[tuple[str, ...]] = ("numbers",)
    reads_images: ClassVar[bool] = False

    # No annotation: what one subclass makes an option is a constant of the others.
    factory = ""

    @abstractmethod
    def build(self, num_outputs: int, context: int | None = None) -> Model:
        """The network with its output layer.

        Args:
            num_outputs: that the likelihood needs.
            context: tokens of a window of text.

        Raises:
            ValueError: where a user's own cannot be made.
        """


@dataclass(frozen=True, kw_only=True)
class MixedPrecision(ModelOptions):
    """A network that can compute in half precision; parameters and outputs are float32."""

    dtype: Literal["float32", "bfloat16"] = option(choice("float32", "bfloat16"), neutral="float32")

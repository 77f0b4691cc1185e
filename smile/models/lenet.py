"""LeNet, the network of the Fashion-MNIST experiments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from smile.models.convolution import Conv
from smile.models.model import Model, from_flax
from smile.models.options import ACTIVATIONS, Activation, MixedPrecision, activation_option
from smile.options import option

__all__ = ["LeNet", "LeNetOptions"]

SMALLEST = 12  # pixels on a side: 12 -> pool 6 -> convolution 2 -> pool 1


class LeNet(nn.Module):
    """Two convolutions 5x5 with average pools, then dense layers (LeCun et al. 1998; GELU as in PROTOCOL 2.2).

    Attributes:
        num_outputs: classes.
        channels: of the two convolutions.
        widths: of the hidden dense layers.
        activation: elementwise, after all layers but the last.
        dtype: of the computation; parameters and outputs are float32.
    """

    num_outputs: int
    channels: tuple[int, int] = (6, 16)
    widths: tuple[int, ...] = (120, 84)
    activation: Callable[[jax.Array], jax.Array] = nn.gelu
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (rows, H, W, C) to (rows, num_outputs).

        Raises:
            ValueError: where H or W is below 12.
        """
        if min(x.shape[1:3]) < SMALLEST:
            raise ValueError(
                f"LeNet needs images of at least {SMALLEST}x{SMALLEST} pixels, got {x.shape[1]}x{x.shape[2]}"
            )
        for channels, padding in zip(self.channels, (2, 0), strict=True):
            x = self.activation(Conv(channels, 5, padding=padding, dtype=self.dtype)(x))
            x = nn.avg_pool(x, (2, 2), (2, 2))
        x = x.reshape(x.shape[0], -1)
        for width in self.widths:
            x = self.activation(nn.Dense(width, dtype=self.dtype)(x))
        return nn.Dense(self.num_outputs)(x.astype(jnp.float32))


@dataclass(frozen=True, kw_only=True)
class LeNetOptions(MixedPrecision):
    """``model=lenet``."""

    reads_images: ClassVar[bool] = True

    activation: Activation = option(activation_option)

    def build(self, num_outputs: int, context: int | None = None) -> Model:
        """LeNet."""
        dtype = jnp.dtype(self.dtype)
        return from_flax(LeNet(num_outputs, activation=ACTIVATIONS[self.activation], dtype=dtype))

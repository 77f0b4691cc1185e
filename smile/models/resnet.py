"""Residual networks without batch statistics: filter response normalisation makes rows independent.

A network whose rows depend on each other through batch statistics has no likelihood that factorises over rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from smile.models.convolution import Conv
from smile.models.model import Model, from_flax
from smile.models.options import MixedPrecision
from smile.options import boolean, integer, option

__all__ = ["FRN", "ResNet7", "ResNet18"]


class FRN(nn.Module):
    """Filter response normalisation and its thresholded linear unit (Singh and Krishnan 2020, eqs. 1-4).

        nu2 = mean over H, W of x^2;  y = max(gamma x / sqrt(nu2 + |eps|) + beta, tau)

    It is an activation, too: none follows. One learned eps for all channels (PROTOCOL 2.3).

    Attributes:
        dtype: of the result; statistics are float32.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (rows, H, W, C) to the same shape."""
        shape = (1, 1, 1, x.shape[-1])
        eps = self.param("eps", nn.initializers.constant(1e-6), (1,))
        gamma = self.param("gamma", nn.initializers.ones_init(), shape)
        beta = self.param("beta", nn.initializers.zeros_init(), shape)
        tau = self.param("tau", nn.initializers.zeros_init(), shape)
        x = x.astype(jnp.float32)
        nu2 = jnp.mean(x**2, axis=(1, 2), keepdims=True)
        return jnp.maximum(x * (gamma * jax.lax.rsqrt(nu2 + jnp.abs(eps))) + beta, tau).astype(self.dtype)


class ResNet7(nn.Module):
    """Six convolutions 3x3 with one residual link around the last, and a dense layer (PROTOCOL 2.4).

    Attributes:
        num_outputs: classes.
        width: channels of the first convolution; the last three have four times as many.
        dtype: of the computation; parameters and outputs are float32.
    """

    num_outputs: int
    width: int = 32
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (rows, H, W, C) to (rows, num_outputs).

        Raises:
            ValueError: where H or W is below 8: three pools would leave nothing.
        """
        if min(x.shape[1:3]) < 8:
            raise ValueError(f"ResNet7 needs images of at least 8x8 pixels, got {x.shape[1]}x{x.shape[2]}")

        def layer(x: jax.Array, widening: int) -> jax.Array:
            return FRN(self.dtype)(Conv(widening * self.width, 3, dtype=self.dtype)(x))

        x = layer(x, 1)
        x = _halve(layer(x, 2))
        x = layer(x, 2)
        x = _halve(layer(x, 4))
        x = _halve(layer(x, 4))
        return _head(self.num_outputs, x + layer(x, 4))


class ResNet18(nn.Module):
    """The ResNet-18 of He et al. (2016) for small images, FRN in place of batch normalisation (PROTOCOL 2.5).

    Attributes:
        num_outputs: classes.
        width: channels of the first stage; each further stage doubles them and halves the image.
        depths: basic blocks per stage.
        dtype: of the computation; parameters and outputs are float32.
        remat: whether blocks are computed again in the backward pass, to save memory.
    """

    num_outputs: int
    width: int = 64
    depths: tuple[int, ...] = (2, 2, 2, 2)
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (rows, H, W, C) to (rows, num_outputs)."""
        block = nn.remat(BasicBlock) if self.remat else BasicBlock
        x = FRN(self.dtype)(Conv(self.width, 3, use_bias=False, dtype=self.dtype)(x))
        x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        for stage, depth in enumerate(self.depths):
            for i in range(depth):
                stride = 2 if stage > 0 and i == 0 else 1
                x = block(self.width * 2**stage, stride, self.dtype, name=f"stage_{stage}_block_{i}")(x)
        return _head(self.num_outputs, x)


class BasicBlock(nn.Module):
    """Two convolutions 3x3 and a shortcut, without normalisation between the second and the addition.

    Attributes:
        width: channels of the result.
        stride: of the first convolution; above 1 the shortcut is a convolution 1x1 with FRN.
        dtype: of the computation.
    """

    width: int
    stride: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (rows, H, W, C) to (rows, ceil(H / stride), ceil(W / stride), width)."""

        def conv(x: jax.Array, size: int, stride: int, name: str) -> jax.Array:
            return Conv(self.width, size, stride, use_bias=False, dtype=self.dtype, name=name)(x)

        shortcut = x
        if self.stride > 1:
            shortcut = FRN(self.dtype, name="shortcut_frn")(conv(x, 1, self.stride, "shortcut_conv"))
        x = FRN(self.dtype, name="frn_0")(conv(x, 3, self.stride, "conv_0"))
        return FRN(self.dtype, name="frn_1")(conv(x, 3, 1, "conv_1") + shortcut)


def _halve(x: jax.Array) -> jax.Array:
    """Maximum over squares of 2x2 pixels; on CPUs its gradient is faster than that of ``nn.max_pool``."""
    rows, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return jnp.max(x.reshape(rows, height // 2, 2, width // 2, 2, channels), axis=(2, 4))


def _head(num_outputs: int, x: jax.Array) -> jax.Array:
    """Average over the image and a dense layer, in float32; adds its parameters to the calling module."""
    return nn.Dense(num_outputs, name="head")(jnp.mean(x.astype(jnp.float32), axis=(1, 2)))


@dataclass(frozen=True, kw_only=True)
class ResNet7Options(MixedPrecision):
    """``model=resnet7``; ``width`` is the number of channels of the first convolution."""

    reads_images: ClassVar[bool] = True

    width: int = option(integer(1))

    def build(self, num_outputs: int, context: int | None = None) -> Model:
        """The small residual network."""
        return from_flax(ResNet7(num_outputs, width=self.width, dtype=jnp.dtype(self.dtype)))


@dataclass(frozen=True, kw_only=True)
class ResNet18Options(MixedPrecision):
    """``model=resnet18``; ``width`` is the number of channels of the first stage."""

    reads_images: ClassVar[bool] = True

    width: int = option(integer(1))
    remat: bool = option(boolean, in_run_id=False)

    def build(self, num_outputs: int, context: int | None = None) -> Model:
        """ResNet-18."""
        dtype = jnp.dtype(self.dtype)
        return from_flax(ResNet18(num_outputs, width=self.width, dtype=dtype, remat=self.remat))

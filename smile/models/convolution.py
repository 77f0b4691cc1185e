"""A convolution that stays fast where samplers run it: inside a loop, on CPUs as well."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

__all__ = ["Conv", "shifted"]


class Conv(nn.Module):
    """``nn.Conv`` with its parameters, as a matrix product on CPUs.

    XLA's CPU convolutions inside a loop are many times slower than outside (up to 70 times on ResNet7), whatever its
    flags for oneDNN say (jax 0.10.2); a product of shifted images and the kernel is as fast in both. Accelerators keep
    the convolution, which needs less memory.

    Attributes:
        features: channels of the result.
        size: pixels on a side of the kernel.
        stride: between outputs, along both sides.
        padding: zeros on each side of the image, or None for as many as give ceil(side / stride) outputs.
        use_bias: whether a bias is added.
        dtype: of the computation.
    """

    features: int
    size: int
    stride: int = 1
    padding: int | None = None
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (rows, H, W, C) to (rows, H', W', features)."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape).astype(self.dtype)
        if self.padding is None:
            window, strides = shape[:2], (self.stride, self.stride)
            pads = jax.lax.padtype_to_pads(x.shape[1:3], window, strides, "SAME")
        else:
            pads = [(self.padding, self.padding)] * 2
        x = jnp.pad(x.astype(self.dtype), [(0, 0), *pads, (0, 0)])

        def convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
            return jax.lax.conv_general_dilated(
                x, kernel, (self.stride, self.stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )

        def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
            return shifted(x, self.size, self.stride) @ kernel.reshape(-1, self.features)

        y = jax.lax.platform_dependent(x, kernel, cpu=product, default=convolution)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
            y += bias.astype(self.dtype)
        return y


def shifted(x: jax.Array, size: int, stride: int) -> jax.Array:
    """(rows, H, W, C) to (rows, H', W', size * size * C): what the kernel sees at each output, row by row."""
    height, width = (side - size + 1 for side in x.shape[1:3])
    return jnp.concatenate(
        [x[:, i : i + height : stride, j : j + width : stride] for i in range(size) for j in range(size)],
        axis=-1,
    )

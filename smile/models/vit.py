"""The vision transformer of the Imagenette experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from smile.models.model import Model, from_flax
from smile.models.transformer import Block, TransformerOptions
from smile.options import integer, number, option

__all__ = ["ViT"]


class ViT(nn.Module):
    """Patches and a class token through pre-norm blocks (Dosovitskiy et al. 2021), no final norm (PROTOCOL 2.6).

    Attributes:
        num_outputs: classes.
        patch: pixels on a side of the square patches; must divide the sides of the image.
        embedding: width D of the tokens.
        depth: number of blocks.
        num_heads: must divide D.
        mlp_width: of the hidden layer of a block.
        head_width: of the hidden layer of the head.
        token_sd: standard deviation at which class token and positions start; 1 in the public code (PROTOCOL M3).
        dtype: of the computation; parameters and outputs are float32.
        remat: whether blocks are computed again in the backward pass, to save memory.
    """

    num_outputs: int
    patch: int = 16
    embedding: int = 384
    depth: int = 12
    num_heads: int = 8
    mlp_width: int = 1536
    head_width: int = 1024
    token_sd: float = 0.02
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (rows, H, W, C) to (rows, num_outputs).

        Raises:
            ValueError: where patches do not tile the image.
        """
        x = nn.Dense(self.embedding, dtype=self.dtype, name="patches")(_patches(x, self.patch))
        start = nn.initializers.normal(self.token_sd)
        token = self.param("class_token", start, (1, 1, self.embedding))
        position = self.param("position", start, (1, 1 + x.shape[1], self.embedding))
        token = jnp.broadcast_to(token.astype(self.dtype), (x.shape[0], *token.shape[1:]))
        x = jnp.concatenate([token, x], axis=1) + position.astype(self.dtype)
        block = nn.remat(Block) if self.remat else Block
        for i in range(self.depth):
            x = block(
                self.num_heads,
                self.mlp_width,
                causal=False,
                use_bias=True,
                reference_residual=False,
                dtype=self.dtype,
                name=f"block_{i}",
            )(x)
        x = nn.gelu(nn.Dense(self.head_width, dtype=self.dtype, name="head_hidden")(x[:, 0]))
        return nn.Dense(self.num_outputs, name="head")(x.astype(jnp.float32))


def _patches(x: jax.Array, patch: int) -> jax.Array:
    """(rows, H, W, C) to (rows, patches, patch * patch * C), row by row.

    A dense layer on these is the convolution whose stride is its size, but stays a plain matrix product under vmap,
    where a convolution becomes a grouped one.
    """
    rows, height, width, channels = x.shape
    if height % patch or width % patch:
        raise ValueError(f"patches of {patch}x{patch} pixels do not tile an image of {height}x{width}")
    x = x.reshape(rows, height // patch, patch, width // patch, patch, channels)
    return x.swapaxes(2, 3).reshape(rows, -1, patch * patch * channels)


@dataclass(frozen=True, kw_only=True)
class ViTOptions(TransformerOptions):
    """``model=vit``."""

    reads_images: ClassVar[bool] = True

    patch: int = option(integer(1))
    token_sd: float = option(number(0))

    def build(self, num_outputs: int, context: int | None = None) -> Model:
        """The vision transformer, with hidden layers in the published proportions."""
        return from_flax(
            ViT(
                num_outputs,
                patch=self.patch,
                embedding=self.width,
                depth=self.depth,
                num_heads=self.heads,
                mlp_width=4 * self.width,
                head_width=8 * self.width // 3,
                token_sd=self.token_sd,
                dtype=jnp.dtype(self.dtype),
                remat=self.remat,
            )
        )

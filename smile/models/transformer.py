"""The block that vision transformer and language model share."""

from __future__ import annotations

from dataclasses import dataclass

import flax.linen as nn
import jax
from jax.typing import DTypeLike

from smile.models.options import MixedPrecision
from smile.options import ConfigError, boolean, integer, option

__all__ = ["Block"]


class Block(nn.Module):
    """Self-attention, then a network of one hidden layer on each token, each with a residual link.

        x <- x + attention(norm(x));  x <- x + mlp(norm(x))

    Attributes:
        num_heads: of the attention; must divide the width of the tokens.
        mlp_width: of the hidden layer.
        causal: whether a token sees only itself and those before it.
        use_bias: whether dense layers and normalisations have biases.
        reference_residual: the public code's residual link, ``x <- norm(x) + f(norm(x))``, which leaves no identity
            path through the network (PROTOCOL M1).
        dtype: of the computation; normalisation statistics and the softmax are float32.
    """

    num_heads: int
    mlp_width: int
    causal: bool
    use_bias: bool
    reference_residual: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (rows, T, D) to the same shape."""
        attention = Attention(self.num_heads, self.causal, self.use_bias, self.dtype, name="attention")
        mlp = MLP(self.mlp_width, self.use_bias, self.dtype, name="mlp")
        for part in (attention, mlp):
            normed = nn.LayerNorm(use_bias=self.use_bias, dtype=self.dtype, name=f"{part.name}_norm")(x)
            x = (normed if self.reference_residual else x) + part(normed)
        return x


class Attention(nn.Module):
    """Multi-head self-attention. Kernels are matrices (in, out), so that priors can read their fans.

    Attributes:
        num_heads: must divide the width of the tokens.
        causal: whether a token sees only itself and those before it.
        use_bias: of the four projections.
        dtype: of the computation, the softmax excepted.
    """

    num_heads: int
    causal: bool
    use_bias: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (rows, T, D) to the same shape.

        Raises:
            ValueError: where ``num_heads`` does not divide D.
        """
        width = x.shape[-1]
        if width % self.num_heads:
            raise ValueError(f"{self.num_heads} heads do not divide a width of {width}")

        def project(x: jax.Array, name: str) -> jax.Array:
            return nn.Dense(width, use_bias=self.use_bias, dtype=self.dtype, name=name)(x)

        heads = [
            project(x, name).reshape(*x.shape[:-1], self.num_heads, -1) for name in ("query", "key", "value")
        ]
        mixed = jax.nn.dot_product_attention(*heads, is_causal=self.causal)
        return project(mixed.reshape(x.shape), "out")


class MLP(nn.Module):
    """One hidden layer with GELU.

    Attributes:
        width: of the hidden layer.
        use_bias: of both layers.
        dtype: of the computation.
    """

    width: int
    use_bias: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (..., D) to the same shape."""
        hidden = nn.gelu(nn.Dense(self.width, use_bias=self.use_bias, dtype=self.dtype)(x))
        return nn.Dense(x.shape[-1], use_bias=self.use_bias, dtype=self.dtype)(hidden)


@dataclass(frozen=True, kw_only=True)
class TransformerOptions(MixedPrecision):
    """What transformers share: ``width`` of the tokens, ``depth`` in blocks, ``heads`` that divide the width."""

    width: int = option(integer(1))
    depth: int = option(integer(1))
    heads: int = option(integer(1))
    remat: bool = option(boolean, in_run_id=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise ConfigError("model.heads", self.heads, f"a divisor of model.width={self.width}")

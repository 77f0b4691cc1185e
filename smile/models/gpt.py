"""The language model of the Shakespeare experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from smile.models.model import Model, from_flax
from smile.models.transformer import Block, TransformerOptions
from smile.options import boolean, option

__all__ = ["GPT"]


class GPT(nn.Module):
    """A causal transformer over characters, no biases, head not tied to the embedding (PROTOCOL 2.7).

    Attributes:
        num_outputs: size of the vocabulary.
        context: longest input.
        embedding: width D of the tokens.
        depth: number of blocks.
        num_heads: must divide D.
        mlp_width: of the hidden layer of a block.
        reference_residual: the public code's residual link (see ``Block``, PROTOCOL M1).
        dtype: of the computation; parameters and outputs are float32.
        remat: whether blocks are computed again in the backward pass, to save memory.
    """

    num_outputs: int
    context: int = 256
    embedding: int = 384
    depth: int = 6
    num_heads: int = 6
    mlp_width: int = 1536
    reference_residual: bool = False
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps tokens (rows, T) to logits (rows, T, num_outputs) of the tokens that follow.

        Raises:
            ValueError: where T exceeds the context.
        """
        length = x.shape[-1]
        if length > self.context:
            raise ValueError(f"{length} tokens exceed the context of {self.context}")
        embed = nn.Embed(self.num_outputs, self.embedding, dtype=self.dtype, name="token")
        positions = nn.Embed(self.context, self.embedding, dtype=self.dtype, name="position")
        x = embed(x) + positions(jnp.arange(length))
        block = nn.remat(Block) if self.remat else Block
        for i in range(self.depth):
            x = block(
                self.num_heads,
                self.mlp_width,
                causal=True,
                use_bias=False,
                reference_residual=self.reference_residual,
                dtype=self.dtype,
                name=f"block_{i}",
            )(x)
        x = nn.LayerNorm(use_bias=False, name="norm")(x.astype(jnp.float32))
        return nn.Dense(self.num_outputs, use_bias=False, name="head")(x)


@dataclass(frozen=True, kw_only=True)
class GPTOptions(TransformerOptions):
    """``model=gpt``; ``reference`` chooses the public code's residual links."""

    reads: ClassVar[tuple[str, ...]] = ("text",)

    reference: bool = option(boolean, neutral=False)

    def build(self, num_outputs: int, context: int | None = None) -> Model:
        """The language model."""
        if context is None:
            raise ValueError("model=gpt needs text, in windows of data.context tokens")
        return from_flax(
            GPT(
                num_outputs,
                context=context,
                embedding=self.width,
                depth=self.depth,
                num_heads=self.heads,
                mlp_width=4 * self.width,
                reference_residual=self.reference,
                dtype=jnp.dtype(self.dtype),
                remat=self.remat,
            )
        )

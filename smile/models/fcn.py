"""The fully connected network of the tabular experiments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import flax.linen as nn
import jax

from smile.models.model import Model, from_flax
from smile.models.options import ACTIVATIONS, Activation, ModelOptions, activation_option
from smile.options import option, whole_numbers

__all__ = ["FCN", "FCNOptions"]


class FCN(nn.Module):
    """Dense layers with an activation after all but the last (Sommer et al. 2026: 16-16-16-1, ReLU).

    Rows run along the last axis inside, so that narrow layers still fill SIMD lanes: 1.4 times faster on CPUs than
    ``nn.Dense``, with its parameters.

    Attributes:
        widths: of all layers, the output included.
        activation: elementwise.
    """

    widths: Sequence[int]
    activation: Callable[[jax.Array], jax.Array] = nn.relu

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (rows, ...) to (rows, widths[-1])."""
        hidden = x.reshape(x.shape[0], -1).T
        for i, width in enumerate(self.widths):
            hidden = _Dense(width, name=f"Dense_{i}")(hidden if i == 0 else self.activation(hidden))
        return hidden.T


class _Dense(nn.Module):
    """``nn.Dense`` on (features, rows)."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[0], self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        return kernel.T @ x + bias[:, None]


@dataclass(frozen=True, kw_only=True)
class FCNOptions(ModelOptions):
    """``model=fcn``; ``widths`` are those of the hidden layers."""

    widths: tuple[int, ...] = option(whole_numbers)
    activation: Activation = option(activation_option)

    def build(self, num_outputs: int, context: int | None = None) -> Model:
        """The fully connected network."""
        return from_flax(FCN((*self.widths, num_outputs), ACTIVATIONS[self.activation]))

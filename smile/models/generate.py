"""Text from an ensemble of language models."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["generate"]


def generate(
    apply: Callable[[Any, jax.Array], jax.Array],
    params: Any,
    prompt_tokens: jax.Array,
    key: jax.Array,
    *,
    num_tokens: int,
    context: int,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> jax.Array:
    """Continues prompts, each token from the posterior predictive: the mean of the members' probabilities.

        p(token | text) proportional to (mean over members of softmax(logits))^(1 / temperature)

    Members vote anew on every token of the one text. The text is a window of fixed size that the networks evaluate
    again for each token: one compilation, no cache.

    Args:
        apply: ``(params of one member, tokens (rows, context)) -> logits (rows, context, vocabulary)``, causal.
        params: pytree with a leading axis over members, which are evaluated one after the other.
        prompt_tokens: (rows, length), length >= 1.
        key: of the random draws.
        num_tokens: to be generated, at least 1.
        context: number of last tokens that the networks see.
        temperature: 0 takes the most probable token.
        top_k: only the k most probable tokens of the mixture may be drawn (ties with the k-th included).

    Returns:
        (rows, num_tokens) tokens.

    Raises:
        ValueError: where an argument is out of its range.
    """
    for name, value, lowest in (("num_tokens", num_tokens, 1), ("context", context, 1), ("top_k", top_k, 1)):
        if value is not None and value < lowest:
            raise ValueError(f"{name} must be at least {lowest}, got {value}")
    if temperature < 0:
        raise ValueError(f"temperature must not be negative, got {temperature}")
    if prompt_tokens.ndim != 2 or prompt_tokens.shape[1] < 1:
        raise ValueError(f"prompts must be (rows, length >= 1) tokens, got shape {prompt_tokens.shape}")
    return _generate(apply, params, prompt_tokens, key, temperature, num_tokens, context, top_k)


@partial(jax.jit, static_argnums=(0, 5, 6, 7))
def _generate(
    apply: Callable[[Any, jax.Array], jax.Array],
    params: Any,
    prompt_tokens: jax.Array,
    key: jax.Array,
    temperature: jax.Array,
    num_tokens: int,
    context: int,
    top_k: int | None,
) -> jax.Array:
    rows, prompt_length = prompt_tokens.shape
    # What follows the text inside the window does not matter: the networks are causal.
    text = jnp.zeros((rows, max(context, prompt_length + num_tokens)), prompt_tokens.dtype)
    text = text.at[:, :prompt_length].set(prompt_tokens)

    def append(text: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
        length = prompt_length + i
        start = jnp.maximum(length - context, 0)
        window = jax.lax.dynamic_slice_in_dim(text, start, context, axis=1)

        def member(one: Any) -> jax.Array:
            return jax.nn.log_softmax(apply(one, window)[:, length - start - 1].astype(jnp.float32))

        log_p = jax.nn.logsumexp(jax.lax.map(member, params), axis=0)
        if top_k is not None and top_k < log_p.shape[-1]:
            log_p = jnp.where(log_p < jax.lax.top_k(log_p, top_k)[0][:, -1:], -jnp.inf, log_p)
        # The maximum of log p + temperature * Gumbel noise is a draw from p^(1 / temperature), zero included.
        noise = jax.random.gumbel(jax.random.fold_in(key, i), log_p.shape)
        token = jnp.argmax(log_p + temperature * noise, axis=-1).astype(text.dtype)
        return jax.lax.dynamic_update_slice_in_dim(text, token[:, None], length, axis=1), None

    text, _ = jax.lax.scan(append, text, jnp.arange(num_tokens))
    return text[:, prompt_length : prompt_length + num_tokens]

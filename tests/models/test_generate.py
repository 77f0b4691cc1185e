"""Text from an ensemble."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile.models import GPT, from_flax, generate

VOCABULARY = 5
KEY = jax.random.key(0)


def markov(params, tokens):
    """Logits of the next token given the last one: params (vocabulary, vocabulary)."""
    return params[tokens]


def successor(shift):
    """Always the token plus ``shift``."""
    return 20 * jnp.roll(jnp.eye(VOCABULARY), shift, axis=1)


@pytest.mark.parametrize("context", [1, 3, 16])
@pytest.mark.parametrize("temperature", [0.0, 1e-6])
def test_counts_on_from_the_prompt(context, temperature):
    prompt = jnp.array([[3, 0], [0, 2]])
    text = generate(
        markov, successor(1)[None], prompt, KEY, num_tokens=6, context=context, temperature=temperature
    )
    np.testing.assert_array_equal(text, [[1, 2, 3, 4, 0, 1], [3, 4, 0, 1, 2, 3]])


@pytest.mark.parametrize("length", [6, 8, 11])
def test_is_the_network_evaluated_anew_on_the_last_tokens(length):
    """Prompts shorter than the context, as long, and longer."""
    module = GPT(VOCABULARY, context=8, embedding=12, depth=1, num_heads=2, mlp_width=16)
    model = from_flax(module)
    params = jax.jit(jax.vmap(model.init, (0, None)))(jax.random.split(KEY, 3), jnp.zeros((1, 8), jnp.int32))
    prompt = jax.random.randint(KEY, (2, length), 0, VOCABULARY)
    text, members = prompt, jax.jit(jax.vmap(model.apply, (0, None)))
    for _ in range(6):
        logits = members(params, text[:, -8:])
        token = jax.nn.softmax(logits[:, :, -1]).mean(0).argmax(-1)
        text = jnp.concatenate([text, token[:, None]], axis=1)
    given = generate(model.apply, params, prompt, KEY, num_tokens=6, context=8, temperature=0.0)
    np.testing.assert_array_equal(given, text[:, length:])


def frequencies(params, rows=20_000, **options):
    """How often each token follows token 0."""
    prompt = jnp.zeros((rows, 1), jnp.int32)
    token = generate(markov, params, prompt, KEY, num_tokens=1, context=1, **options)[:, 0]
    return np.bincount(token, minlength=VOCABULARY) / rows


def within_4_standard_errors(given, p, rows=20_000):
    np.testing.assert_array_less(np.abs(given - p), 4 * np.sqrt(p * (1 - p) / rows) + 1e-12)


def rows_of(*probabilities):
    """Members with these probabilities after any token."""
    return jnp.log(jnp.array(probabilities))[:, None].repeat(VOCABULARY, axis=1)


MEMBERS = ((0.9, 0.04, 0.03, 0.02, 0.01), (0.001, 0.3, 0.3, 0.2, 0.199))


def test_probabilities_are_averaged_not_logits():
    p = np.mean(MEMBERS, axis=0)
    within_4_standard_errors(frequencies(rows_of(*MEMBERS)), p)
    # The geometric mean would take token 1 more often than token 0.
    assert np.argmax(p) == 0 and np.argmax(np.prod(MEMBERS, axis=0)) == 1


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_acts_on_the_mixture(temperature):
    p = np.mean(MEMBERS, axis=0) ** (1 / temperature)
    within_4_standard_errors(frequencies(rows_of(*MEMBERS), temperature=temperature), p / p.sum())


@pytest.mark.parametrize("top_k", [1, 2, 5, 9])
def test_top_k_of_the_mixture(top_k):
    p = np.mean(MEMBERS, axis=0)
    p = np.where(np.isin(np.arange(VOCABULARY), np.argsort(-p)[:top_k]), p, 0)
    within_4_standard_errors(frequencies(rows_of(*MEMBERS), top_k=top_k), p / p.sum())


def test_same_key_same_text():
    prompt = jnp.zeros((4, 1), jnp.int32)
    first, again, other = (
        generate(markov, rows_of(*MEMBERS), prompt, jax.random.key(k), num_tokens=20, context=4)
        for k in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert jnp.any(first != other)
    assert len({tuple(row.tolist()) for row in first}) == 4


def test_one_compilation():
    calls = []

    def counted(params, tokens):
        calls.append(tokens.shape)
        return params[tokens]

    for temperature in (0.5, 1.0):
        prompt = jnp.zeros((2, 3), jnp.int32)
        generate(counted, successor(1)[None], prompt, KEY, num_tokens=7, context=4, temperature=temperature)
    assert calls == [(2, 4)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_tokens": 0}, "num_tokens must be at least 1, got 0"),
        ({"context": 0}, "context must be at least 1, got 0"),
        ({"top_k": 0}, "top_k must be at least 1, got 0"),
        ({"temperature": -1.0}, "temperature must not be negative, got -1.0"),
        ({"prompt": jnp.zeros((1, 0), jnp.int32)}, r"got shape \(1, 0\)"),
        ({"prompt": jnp.zeros(3, jnp.int32)}, r"got shape \(3,\)"),
    ],
)
def test_arguments_out_of_range(options, message):
    options = {"num_tokens": 2, "context": 4} | options
    prompt = options.pop("prompt", jnp.zeros((1, 1), jnp.int32))
    with pytest.raises(ValueError, match=message):
        generate(markov, successor(1)[None], prompt, KEY, **options)

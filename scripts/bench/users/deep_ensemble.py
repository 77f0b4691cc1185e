"""A deep ensemble as one writes it with flax and optax: AdamW, and of every member what validation data chose."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

net = nn.Sequential([nn.Dense(16), nn.relu, nn.Dense(16), nn.relu, nn.Dense(2)])
optimiser = optax.adamw(1e-2, weight_decay=5e-3)
STEPS, BATCH = 4020, 64


def loss(params, x, y):
    mean, log_sd = net.apply(params, x).T
    return jnp.mean(0.5 * ((y - mean) / jnp.exp(log_sd)) ** 2 + log_sd)


def fit(x, y, seed):
    order = np.random.default_rng(seed).permutation(len(y))
    train, validation = np.split(order, [int(0.875 * len(y))])
    scale = x[train].mean(0), x[train].std(0), y[train].mean(), y[train].std()
    x, y = jnp.asarray((x - scale[0]) / scale[1]), jnp.asarray((y - scale[2]) / scale[3])

    def step(carry, key):
        params, state, best, lowest = carry
        rows = jax.random.choice(key, train, (BATCH,))
        updates, state = optimiser.update(jax.grad(loss)(params, x[rows], y[rows]), state, params)
        params = optax.apply_updates(params, updates)
        now = loss(params, x[validation], y[validation])
        best = jax.tree.map(lambda new, old: jnp.where(now < lowest, new, old), params, best)
        return (params, state, best, jnp.minimum(now, lowest)), None

    def member(key):
        params = net.init(key, x[:1])
        start = (params, optimiser.init(params), params, jnp.inf)
        return jax.lax.scan(step, start, jax.random.split(key, STEPS))[0][2]

    return scale, jax.jit(jax.vmap(member))(jax.random.split(jax.random.key(seed), 8))


def members(fit, x):
    scale, params = fit
    mean, log_sd = jnp.moveaxis(jax.vmap(net.apply, (0, None))(params, (x - scale[0]) / scale[1]), -1, 0)
    return scale[2] + scale[3] * mean, scale[3] * jnp.exp(log_sd)


def predict(fit, x):
    mean, sd = members(fit, x)
    return mean.mean(0), jnp.sqrt((sd**2).mean(0) + mean.var(0))


# ---- measured ------------------------------------------------------------------------------------


def draws(fit, x):
    return members(fit, x)


def work(fit, rows):
    return STEPS, STEPS * BATCH

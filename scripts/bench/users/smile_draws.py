"""What a fit of ``smile`` predicts draw by draw, and what it cost."""

import math

import jax
import numpy as np

import smile.api.bnn  # noqa: F401  (`import smile` loads nothing before it is used, and imports are not timed)
from smile.api.inputs import encode
from smile.data import standardised

WARM_START_EPOCHS, WARM_START_BATCH = 60, 64
TRAIN = 0.87


def draws(fit, x):
    rows = standardised(encode(fit.inputs, x), fit.units, fit.inputs.column)
    positions = fit.draws.reshape(-1, fit.draws.shape[-1])
    means, log_sds = jax.jit(jax.vmap(lambda position: fit.posterior.predict(position, rows)))(positions)
    sds = np.clip(np.exp(np.asarray(log_sds)), 1e-6, 1e6)  # as `predict` bounds them
    return fit.y_mean + fit.y_scale * np.asarray(means), fit.y_scale * sds


def work(fit, rows):
    """Gradients of a member, at most, and the rows that they read."""
    train = int(TRAIN * rows)
    sampling = int(fit.figure.curves[0].gradient_evaluations[-1])
    starting = WARM_START_EPOCHS * math.ceil(train / WARM_START_BATCH)
    return sampling + starting, sampling * (fit.options["batch_size"] or train) + WARM_START_EPOCHS * train

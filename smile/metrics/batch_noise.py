"""What the noise of batches does to a posterior's spread, for samplers that are Langevin equations in disguise.

Near a Gaussian posterior of precision A, a sampler with steps eta, friction and noise of its own nu, and gradients of
covariance Sigma has in the mode i of A (eigenvalue a_i, eigenvector u_i, s_i = u_i^T Sigma u_i) the temperature

    T_i = (2 nu + eta S_i s_i) / (2 Gamma_i)

    Gamma_i = nu                               friction that knows nothing of the noise: SGHMC
            = nu + eta/2 mean_j (S_j s_j)      one friction for all that keeps the mean temperature at one
            = nu + eta/2 s_i                   friction that is matched to the noise of a step: contrast friction

SMILE is the second case. Its velocity has unit length, which is a thermostat: a step eps is a Langevin step
eta = eps / sqrt(d), momentum refreshment is nu = sqrt(d) / L, and what noise adds to a direction, the normalisation
takes from all alike. Isotropic noise then changes nothing; the noise of batches is about N/B A, so that stiff
directions are hotter and wide ones, which most of the spread is in, colder than one. Without inertia (SGLD, step h)
noise adds h S_i s_i / 2 to a temperature of one.

S_i is the part of the noise that a mode feels. It is one for independent batches. Where batches run through epochs of n
batches, every row once in each, noise that an epoch takes back is felt only by modes that change within it:

    S_i = 1 + 2 sum_{0 < k < n} r_k rho_i(k eta),   r_k = -(1 - k/n) / (n - 1)

r is the autocorrelation of the noise, rho that of the mode under white noise: with w = sqrt(a_i - Gamma_i^2 / 4)

    rho(t) = exp(-Gamma_i t / 2) (cos w t +- Gamma_i / (2 w) sin w t),   exp(-a_i t) without inertia

of position (+) and velocity (-); it is the velocity whose temperature a thermostat holds. Small steps and a Gaussian
posterior are assumed, and weak friction where the noise is not diagonal in the modes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import numpy as np

from smile.base import BatchNoise, Langevin

__all__ = ["predicted_sd_ratios"]

_MOST_LAGS = 4000
_ITERATIONS = 30  # of the friction that the felt noise depends on, which depends on the friction


def predicted_sd_ratios(noise: BatchNoise, langevin: Langevin) -> np.ndarray:
    """Standard deviations over the posterior's, (d,)."""
    scale = np.ones(len(noise.precision)) if langevin.scale is None else langevin.scale
    precision = noise.precision * np.outer(scale, scale)
    stiffness, modes = np.linalg.eigh(precision)
    strength = np.einsum("ji,jk,ki->i", modes, noise.covariance * np.outer(scale, scale), modes)
    eta, nu = langevin.interval, langevin.friction
    if not langevin.has_inertia:
        temperature = 1 + eta * _felt(noise.batches, lambda k: (1 - eta * stiffness) ** k) * strength / 2
    else:
        gamma = np.full(len(stiffness), nu)
        for _ in range(_ITERATIONS):
            match langevin.cools:
                case "nothing":
                    pass
                case "mean":
                    heating = eta * _oscillating(noise.batches, stiffness, gamma, eta, -1) * strength / 2
                    gamma = np.full_like(gamma, nu + heating.mean())
                case "all":
                    gamma = nu + eta * strength / 2
                case never:
                    assert_never(never)
        heating = eta * _oscillating(noise.batches, stiffness, gamma, eta, 1) * strength / 2
        temperature = (nu + heating) / gamma
    covariance = (modes * (temperature / stiffness)) @ modes.T
    exact = (modes / stiffness) @ modes.T
    return np.sqrt(np.diag(covariance) / np.diag(exact))


def _oscillating(
    batches: float | None, stiffness: np.ndarray, gamma: np.ndarray, eta: float, sign: int
) -> np.ndarray:
    """S_i of the position, sign 1, or of the velocity, sign -1."""
    w = np.sqrt((stiffness - gamma**2 / 4).astype(complex))
    w = np.where(np.abs(w) < 1e-9, 1e-9, w)

    def rho(k: np.ndarray) -> np.ndarray:
        t = k * eta
        # as exponentials: of strong friction, cos and sin alone would overflow
        ends = [np.exp((-gamma / 2 + 1j * side * w) * t) for side in (1, -1)]
        return ((ends[0] + ends[1]) / 2 + sign * gamma / (2 * w) * (ends[0] - ends[1]) / 2j).real

    return _felt(batches, rho)


def _felt(batches: float | None, rho: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """S_i from the autocorrelation of the modes, ``lags (n, 1) -> (n, d)``."""
    if batches is None or batches <= 1:
        return np.ones(1)
    lags = np.arange(1, min(int(np.ceil(batches)), _MOST_LAGS))[:, None]
    weights = -(1 - lags / batches) / (batches - 1)
    return np.maximum(1 + 2 * np.sum(weights * rho(lags), axis=0), 0.0)

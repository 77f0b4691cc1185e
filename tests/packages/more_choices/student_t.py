"""Independent Student-t coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from smile.base import Target
from smile.options import integer, number, option
from smile.targets import AnalyticTarget


@dataclass(frozen=True, kw_only=True)
class StudentT(AnalyticTarget):
    """``target=student_t``."""

    dim: int = option(integer(2))
    degrees: float = option(number(4))

    def build(self) -> Target:
        """The target."""

        def logdensity(x, batch):
            return -0.5 * (self.degrees + 1) * jnp.sum(jnp.log1p(x**2 / self.degrees), axis=0)

        return Target(
            name="student_t",
            dim=self.dim,
            init=lambda key: jnp.zeros(self.dim),
            logdensity=logdensity,
            sample=lambda key, n: jax.random.t(key, self.degrees, (n, self.dim)),
            handles_chains=True,
            is_finite=True,
        )

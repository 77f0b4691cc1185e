"""One library on one data set, in a Python that has it: ``python run.py NAME INPUT OUTPUT``.

A library is a module of this folder: ``fit(x, y, seed)`` and ``predict(fit, x)`` are what a user writes; below the
line, ``draws(fit, x)`` are the means and deviations of all draws, (draws, rows), in the unit of y, and
``work(fit, rows)`` the gradients of a member and the rows that they read. Imports are not timed, compilation is.
"""

import importlib
import sys
import time

import numpy as np


def main(name, given, out):
    user = importlib.import_module(name)
    with np.load(given, allow_pickle=False) as file:
        x, y, x_new, seed = (file[part] for part in ("x", "y", "x_new", "seed"))
    clocks = [_clock()]
    fit = user.fit(x, y, int(seed))
    clocks.append(_clock())
    mean, sd = map(np.asarray, user.predict(fit, x_new))
    clocks.append(_clock())
    means, sds = map(np.asarray, user.draws(fit, x_new))
    np.savez(
        out, mean=mean, sd=sd, means=means, sds=sds, seconds=np.diff(clocks, axis=0), work=user.work(fit, len(y))
    )  # fmt: skip


def _clock():
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""``smile.BNN``: pSMILE-naive on mini-batches, which is what it does when it is not told otherwise."""

import smile


def fit(x, y, seed):
    return smile.BNN(smile.mlp(16, 16), likelihood="heteroscedastic").fit(
        x, y, num_steps=1500, burn_in=500, warm_start_epochs=60, train=0.87, validation=0.12, seed=seed
    )


def predict(fit, x):
    return fit.predict(x)


# ---- measured ------------------------------------------------------------------------------------

from smile_draws import draws, work  # noqa: E402, F401

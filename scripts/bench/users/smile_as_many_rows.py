"""``smile.BNN``: pSMILE-naive for about as many rows as full batches read."""

import smile


def fit(x, y, seed):
    burn_in = 500 * len(y) // 2560 * 10
    return smile.BNN(smile.mlp(16, 16), likelihood="heteroscedastic").fit(
        x, y, num_steps=3 * burn_in, burn_in=burn_in, warm_start_epochs=60, train=0.87, validation=0.12, seed=seed
    )  # fmt: skip


def predict(fit, x):
    return fit.predict(x)


# ---- measured ------------------------------------------------------------------------------------

from smile_draws import draws, work  # noqa: E402, F401

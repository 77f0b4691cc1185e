"""bde: MILE as a scikit-learn estimator, on all rows."""

from bde import BdeRegressor
from sklearn.preprocessing import StandardScaler


def fit(x, y, seed):
    of_x, of_y = StandardScaler().fit(x), StandardScaler().fit(y[:, None])
    model = BdeRegressor(
        n_members=8, hidden_layers=[16, 16], seed=seed, epochs=1020, patience=170, validation_split=0.125, lr=1e-2,
        weight_decay=5e-3, warmup_steps=500, n_samples=1000, n_thinning=10,
    )  # fmt: skip
    return of_x, of_y, model.fit(of_x.transform(x), of_y.transform(y[:, None])[:, 0])


def predict(fit, x):
    of_x, of_y, model = fit
    mean, sd = model.predict(of_x.transform(x), mean_and_std=True)
    return of_y.inverse_transform(mean[:, None])[:, 0], of_y.scale_[0] * sd


# ---- measured ------------------------------------------------------------------------------------

EPOCHS, STEPS, TRAIN = 1020, 500 + 1000, 0.875


def draws(fit, x):
    """Of ``n_samples`` steps every ``n_thinning``-th is kept; a scale is the softplus of the second output."""
    import numpy as np

    of_x, of_y, model = fit
    raw = np.asarray(model.predict(of_x.transform(x), raw=True), np.float64)
    mean, sd = raw[..., 0].reshape(-1, len(x)), np.logaddexp(0, raw[..., 1]).reshape(-1, len(x))
    return of_y.mean_[0] + of_y.scale_[0] * mean, of_y.scale_[0] * sd


def work(fit, rows):
    """An epoch is one gradient of all rows, a step of MCLMC two."""
    gradients = EPOCHS + 2 * STEPS
    return gradients, gradients * int(TRAIN * rows)

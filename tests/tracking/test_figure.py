"""The figure of a run: both files, and what is said where the axis does not show everything."""

from __future__ import annotations

import numpy as np
import pytest

from smile.tracking.figure import Calibration, Curve, RunFigure, draw_run_figure, save_run_figure

WORK = np.geomspace(100, 1e5, 30)
LEVELS = np.linspace(0.1, 0.9, 9)
CURVES = [Curve(step_size, WORK, np.linspace(-1, -1 + step_size, 30)) for step_size in (0.2, 0.1, 0.4)]


def run(curves=CURVES, ensemble_lppd=-1.1, kind="coverage"):
    calibration = Calibration(LEVELS, np.where(LEVELS < 0.15, np.nan, LEVELS))
    return RunFigure("a run", kind, curves, 0.4, ensemble_lppd, calibration, calibration)


def labels(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


@pytest.mark.parametrize("kind", ["coverage", "reliability"])
def test_writes_both_files_and_nothing_else(tmp_path, kind):
    save_run_figure(tmp_path / "runs/figure", run(kind=kind))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["figure.pdf", "figure.png"]
    assert (tmp_path / "runs/figure.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "runs/figure.pdf").read_bytes().startswith(b"%PDF")


def test_step_sizes_are_in_order_and_all_is_shown():
    figure = draw_run_figure(run())
    assert labels(figure) == ["0.1", "0.2", "0.4, best", "deep ensemble"]
    bottom, top = figure.axes[0].get_ylim()
    assert bottom < -1.1
    assert top > -0.6
    assert "below" not in figure.axes[0].get_ylabel()


def test_a_diverged_curve_does_not_flatten_the_others():
    bad = [Curve(0.8, WORK, np.linspace(-1, -300, 30)), Curve(1.6, WORK, np.full(30, np.nan))]
    figure = draw_run_figure(run([*CURVES, *bad]))
    assert labels(figure)[3:] == ["0.8, below the axis", "1.6, not finite", "deep ensemble"]
    bottom, top = figure.axes[0].get_ylim()
    assert top - bottom < 1.5
    assert bottom < -1.1
    assert "continue below" in figure.axes[0].get_ylabel()


def test_the_axis_is_never_longer_than_five_nats():
    """Most curves diverge, and the ensemble is further below the best curve than the axis reaches."""
    bad = [Curve(step_size, WORK, np.linspace(-1, -300, 30)) for step_size in (1, 2, 3, 4)]
    figure = draw_run_figure(run([*CURVES, *bad], ensemble_lppd=-20.0))
    bottom, top = figure.axes[0].get_ylim()
    assert top - bottom == pytest.approx(5.25)
    assert labels(figure)[-1] == "deep ensemble, below the axis"


def test_a_run_whose_chains_all_diverged_still_has_a_figure(tmp_path):
    nothing = [Curve(0.1, WORK, np.full(30, np.nan))]
    save_run_figure(tmp_path / "figure", run(nothing))
    assert labels(draw_run_figure(run(nothing))) == ["0.1, not finite", "deep ensemble"]

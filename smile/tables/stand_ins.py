"""Metrics that stand in for one that a run has not recorded."""

from __future__ import annotations

import pandas as pd

from smile.tables.spec import TableSpec

__all__ = ["fill_in"]


def fill_in(frame: pd.DataFrame, spec: TableSpec) -> tuple[pd.DataFrame, list[str]]:
    """Gives the runs that lack a metric the values of what the table says stands in for it.

    Args:
        frame: metrics of the runs that the table lists.
        spec: the table.

    Returns:
        The metrics and those filled in, and a sentence for each metric that was.
    """
    filled, sentences = [frame], []
    for name, stand_ins in spec.stand_ins.items():
        lacking = frame[~frame["run_id"].isin(frame.loc[frame["metric"] == name, "run_id"])]
        found = []
        for stand_in in stand_ins:
            there = lacking["metric"] == stand_in.metric
            for key, allowed in stand_in.where.items():
                there &= lacking[key].isin(allowed)
            if there.any():
                found.append(lacking[there].assign(metric=name))
                number = found[-1]["run_id"].nunique()
                have = "1 run has" if number == 1 else f"{number} runs have"
                sentences.append(f"{have} not recorded {name}: {stand_in.text} stands in for it.")
        filled += found
    return pd.concat(filled, ignore_index=True), sentences

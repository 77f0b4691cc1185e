"""Every number behind a table as tidy CSV."""

from __future__ import annotations

import pandas as pd

from smile.tables.layout import Tables
from smile.tables.spec import TableSpec

__all__ = ["csv_text"]


def csv_text(spec: TableSpec, tables: Tables) -> str:
    """Every number behind the tables, one row per cell; missing cells are empty."""
    records = []
    for (metric, selection), cells in tables.items():
        for row in spec.row_values():
            for column in spec.all_columns:
                keys = {**dict(zip(spec.rows, row, strict=True)), spec.columns: column}
                cell = cells.get((row, column))
                numbers = (
                    {**vars(cell), "median": cell.median, "ratio": cell.ratio, "agrees": cell.agrees}
                    if cell
                    else {}
                )
                numbers.pop("draws", None)
                records.append({"metric": metric, "selection": selection, **keys, **numbers})
    return pd.DataFrame(records).convert_dtypes().to_csv(index=False)

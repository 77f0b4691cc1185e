"""A run in MLflow: curves while it lasts, metrics and figure at its end; in a file of SQLite, or on a server."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pandas as pd
from filelock import FileLock

from smile.converters import SecretError
from smile.extras import need
from smile.options import ConfigError, option
from smile.paths import local_path
from smile.tracking.reachable import is_reachable
from smile.tracking.statistics import reached, summarise
from smile.tracking.tracker import About, Tracker, TrackerOptions, flatten

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["MlflowOptions"]

_T = TypeVar("_T")

_VARIABLE, _SQLITE, _DEFAULT = "MLFLOW_TRACKING_URI", "sqlite:///", "sqlite:///mlflow.db"
_SCHEMES = ("https", "http", "sqlite", "postgresql", "mysql", "mssql", "databricks")
_VALID = f"null, or an address that begins with {', '.join(f'{scheme}://' for scheme in _SCHEMES)}"
_NO_SECRET = (
    "an address without user and password: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD hold those"
)
_SECRET = re.compile(r"//[^/?#]*@|\b(password|passwd|pwd|token|secret)=", re.IGNORECASE)

# Said before MLflow is imported, unless the user says something else: nothing goes to its makers, it is silent, and a
# server that has gone costs seconds.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
_MOST_PARAMETERS, _MOST_METRICS, _LONGEST_VALUE = 100, 1000, 6000  # that it takes at once, and of one value


def _address(value: Any) -> str | None:
    """Null, or where MLflow keeps runs; never with a secret, as it stands in the config of a run."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(_VALID)
    if _SECRET.search(value):
        raise SecretError("an address with a user or a password in it", _NO_SECRET)
    scheme = re.match(r"([a-z]+)(\+[a-z0-9_]+)?://.", value)
    if value != "databricks" and (scheme is None or scheme[1] not in _SCHEMES):
        raise ValueError(_VALID)
    return value


@dataclass(frozen=True)
class MlflowOptions(TrackerOptions):
    """``tracker.mlflow``: each experiment is one of MLflow's, each run one of its runs."""

    module: ClassVar[str] = "mlflow"

    uri: str | None = option(_address)

    def check_environment(self) -> None:
        """``MLFLOW_TRACKING_URI`` obeys the rule of ``uri``, as messages of libraries would show it."""
        self._found()

    def open(self, about: About) -> Tracker:
        """One run, in place of an earlier one of the same run id, which is marked as deleted."""
        need(self.module, "tracker=mlflow")
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        address, artifacts = self._found(), None
        alone: Any = nullcontext()
        if address.startswith(_SQLITE):
            file = about.directory / local_path(address.removeprefix(_SQLITE))
            file.parent.mkdir(parents=True, exist_ok=True)
            address, artifacts = f"{_SQLITE}{file}", (file.resolve().parent / "mlruns").as_uri()
            alone = FileLock(f"{file}.lock")  # two that create its tables at once break them
        elif address.startswith("http") and not is_reachable(address):
            raise ConnectionError(f"{address} does not answer")
        with alone:
            client = MlflowClient(tracking_uri=address)
            experiment = _experiment(client, about.experiment, artifacts)
        tags = {"smile.run_id": about.run_id, "smile.scale": about.scale}
        same = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        for earlier in client.search_runs([experiment], same):
            client.delete_run(earlier.info.run_id)
        run = _Mlflow(client, client.create_run(experiment, run_name=about.label, tags=tags).info.run_id)
        try:
            run.describe(about.config)
        except Exception:
            run.close(failed=True)
            raise
        return run

    def _found(self) -> str:
        """The option, else the variable, else a file in the working directory."""
        if self.uri is not None:
            return self.uri
        given = os.environ.get(_VARIABLE) or _DEFAULT
        try:
            return _address(given) or _DEFAULT
        except SecretError as error:
            raise ConfigError(_VARIABLE, error.shown, str(error)) from None
        except ValueError as error:
            raise ConfigError(_VARIABLE, given, str(error)) from None


class _Mlflow(Tracker):
    def __init__(self, client: MlflowClient, run: str) -> None:
        self._client, self._run = client, run

    def describe(self, config: Mapping[str, Any]) -> None:
        """Parameters; of a value that is longer than MLflow takes its beginning, ``config.yaml`` has it whole."""
        from mlflow.entities import Param

        params = [Param(name, _shortened(str(value))) for name, value in flatten(config)]
        for part in _parts(params, _MOST_PARAMETERS):
            self._client.log_batch(self._run, params=part)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._metrics(((f"live/{name}", value) for name, value in values.items()), step)

    def finish(self, rows: pd.DataFrame, figure: Path | None) -> None:
        """Means, each under its name and its step size, and the best one apart."""
        summary = summarise(rows)
        values = [
            (f"{name}/{step_size:.4g}", float(mean)) for (name, step_size), mean in summary["mean"].items()
        ]
        values.append(("wall_seconds", float(rows["wall_seconds"].max())))
        values.append(("gradient_evaluations", float(rows["gradient_evaluations"].max())))
        found = reached(summary)
        if found and found.step_size is not None:
            cell = summary.loc[(found.metric.name, found.step_size)]
            values.append(("best/step_size", found.step_size))
            values.append((f"best/{found.metric.name}", float(cell["mean"])))
            values.append((f"best/{found.metric.name}_error", float(cell["error"])))
        self._metrics(values, 0)
        if figure is not None:
            self._client.log_artifact(self._run, str(figure))

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")

    def _metrics(self, values: Iterable[tuple[str, float]], step: int) -> None:
        """Those that are finite; MLflow takes no plus in a name."""
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        metrics = [
            Metric(name.replace("+", ""), value, now, step) for name, value in values if math.isfinite(value)
        ]
        for part in _parts(metrics, _MOST_METRICS):
            self._client.log_batch(self._run, metrics=part)


def _experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    """The id of an experiment, new or not; another process may be making it."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=artifacts)
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return found.experiment_id


def _shortened(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 1]}…"


def _parts(values: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    """All, so many at once."""
    return (values[start : start + most] for start in range(0, len(values), most))

"""One run on two hosts, here two processes that see one device each."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from smile.preflight import compose
from smile.runs.lock import Lock, claim
from smile.sweep.attempt import run_dir
from smile.tracking import read_metrics

RUN = [
    "target=bnn", "+method=smile", "scale=smoke", "replications=4", "num_steps=200", "burn_in=100", "thinning=25",
    "warm_start.max_epochs=3", "target.checkpoint_minutes=0", "tracker.wandb.mode=disabled",
]  # fmt: skip


def start(folder: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "smile", *RUN, *options], cwd=folder, text=True, env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def hosts(folder: Path) -> list[subprocess.Popen[str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    return [
        start(
            folder, "devices=1", "distributed=true",
            JAX_COORDINATOR_ADDRESS=address, JAX_NUM_PROCESSES="2", JAX_PROCESS_ID=str(number),
        )
        for number in (0, 1)
    ]  # fmt: skip


def values(folder: Path) -> pd.Series:
    rows = read_metrics(folder / "results/adhoc/smoke").set_index(["sampler", "metric"])["value"]
    ranked = [
        name for name in rows.index.unique("metric") if name.startswith(("rhat", "ess"))
    ]  # rounding may swap
    return rows.drop(ranked, level="metric").sort_index()


def test_two_hosts_killed_and_resumed_compute_what_one_does(tmp_path: Path) -> None:
    alone = start(tmp_path / "one", "devices=2")
    assert alone.wait(300) == 0, alone.stdout.read()
    both, two = hosts(tmp_path / "two"), tmp_path / "two"
    checkpoints, deadline = two / "results/adhoc/smoke/runs", time.monotonic() + 200
    while not any(checkpoints.glob("*/checkpoints/*.sha256")) and time.monotonic() < deadline:
        time.sleep(0.05)
    for host in both:
        os.killpg(host.pid, signal.SIGKILL)
        host.wait()
    assert any(checkpoints.glob("*/checkpoints/*.sha256")) and not any(checkpoints.glob("*/history.parquet"))
    for host in (both := hosts(two)):
        assert host.wait(300) == 0, host.stdout.read()
    printed = both[0].stdout.read()
    assert "LPPD" in printed and "no checkpoint" not in printed
    np.testing.assert_allclose(values(two), values(tmp_path / "one"), rtol=2e-3, atol=2e-3)


def test_where_another_process_is_at_the_run_no_host_waits_for_ever(tmp_path: Path) -> None:
    config = compose([*RUN, f"results_dir={tmp_path}/results"])
    run_dir(config).mkdir(parents=True)
    with claim(run_dir(config)) as lock:
        assert isinstance(lock, Lock)
        for host in hosts(tmp_path):
            said, _ = host.communicate(timeout=300)
            assert host.returncode == 3, said
            assert f"process {os.getpid()} on " in said and "is at this run" in said

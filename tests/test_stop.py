"""A signal becomes a request, also while the main thread computes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from smile import stop


@pytest.fixture(autouse=True)
def nobody_asks() -> Iterator[None]:
    yield
    stop.clear()


def wait(condition: object, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.01)


@pytest.mark.parametrize("number", stop.SIGNALS)
def test_a_signal_becomes_a_request(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop.listening():
        stop.check()
        os.kill(os.getpid(), number)
        wait(stop.requested)
        with pytest.raises(stop.Preempted, match=number.name):
            stop.check()
    assert not stop.requested() and signal.getsignal(number) is before


def test_no_except_exception_swallows_it() -> None:
    stop.request("SIGTERM")
    assert not issubclass(stop.Preempted, Exception)
    with pytest.raises(stop.Preempted, match="SIGTERM"):
        stop.check()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_a_finaliser_drops_is_heard_all_the_same() -> None:
    """Python drops what a finaliser raises, and JAX has one that runs at any time."""

    class Garbage:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            wait(lambda: False, 0.1)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stop.listening():
            Garbage()
            wait(stop.requested)
            with pytest.raises(KeyboardInterrupt):
                stop.check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not stop.requested()


def test_whoever_waits_for_another_process_obeys(tmp_path: Path) -> None:
    """A deep ensemble may be trained for hours, and images decoded for minutes."""
    file = tmp_path / "lock"
    with stop.alone(file):
        threading.Timer(0.2, stop.request, ["SIGTERM"]).start()
        with pytest.raises(stop.Preempted, match="SIGTERM"), stop.alone(file):
            pass
    stop.clear()
    with stop.alone(file):
        pass


def test_whoever_does_not_stop_in_time_is_overdue() -> None:
    called = threading.Event()
    with stop.listening(called.set, grace_seconds=0.1):
        os.kill(os.getpid(), signal.SIGUSR2)
        assert called.wait(5)


def test_whoever_stops_in_time_is_not_overdue() -> None:
    called = threading.Event()
    with stop.listening(called.set, grace_seconds=0.5):
        os.kill(os.getpid(), signal.SIGUSR2)
        wait(stop.requested)
    assert not called.wait(1)


def test_other_threads_leave_signals_alone() -> None:
    def body() -> None:
        with stop.listening():
            seen.append(signal.getsignal(signal.SIGTERM))

    seen: list[object] = []
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize(("interrupts", "is_ended"), [(0, True), (1, True), (2, False)])
def test_an_interrupt_waits_for_what_cannot_be_interrupted_and_a_second_one_does_not(
    interrupts: int, is_ended: bool
) -> None:
    ended = []

    @stop.uninterrupted()
    def body() -> None:
        for _ in range(interrupts):
            os.kill(os.getpid(), signal.SIGINT)
        ended.append(True)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) if interrupts else nullcontext():
            body()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert bool(ended) == is_ended

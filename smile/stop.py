"""Asking a run to stop: a signal or the end of a slice becomes a request, and the run obeys between two chunks, after a
last checkpoint.

Python runs signal handlers in the main thread between two bytecodes, and a compiled chunk is one bytecode of minutes.
The number of a signal goes through a pipe to a thread instead, which can act while the main thread computes.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = [
    "OUT_OF_TIME",
    "SIGNALS",
    "Preempted",
    "alone",
    "check",
    "clear",
    "deadline",
    "is_over",
    "limited",
    "listening",
    "request",
    "request_if_over",
    "requested",
    "uninterrupted",
]

# SIGUSR2 is what submitit lets Slurm send before the time limit, SIGTERM what everybody else sends.
SIGNALS = (signal.SIGUSR2, signal.SIGTERM)

OUT_OF_TIME = "the end of max_minutes"

_POLL_SECONDS = 0.5

_reason = ""
_deadline = math.inf


class Preempted(BaseException):
    """The run was asked to stop and has written what it needs to go on."""


def request(reason: str) -> None:
    """Asks what runs in this process to stop."""
    global _reason
    _reason = reason


def requested() -> bool:
    """Whether somebody has asked."""
    return bool(_reason)


def check() -> None:
    """Raises ``Preempted`` where somebody has asked; to be called where stopping loses nothing.

    Raises:
        KeyboardInterrupt: where it was Ctrl-C, whose own exception Python drops in a finaliser, such as JAX's.
    """
    if _reason == signal.SIGINT.name:
        raise KeyboardInterrupt
    if _reason:
        raise Preempted(_reason)


def clear() -> None:
    """Forgets the request."""
    request("")


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """A lock between processes, held for the body.

    Raises:
        Preempted: where this process is asked to stop while another one holds it, which may train for hours.
    """
    lock = FileLock(file)
    while not lock.is_locked:
        check()
        with suppress(Timeout):
            lock.acquire(timeout=_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


# ---- slices --------------------------------------------------------------------------------------


@contextmanager
def limited(until: float) -> Iterator[None]:
    """Gives what runs in the body a slice of time.

    It ends with a request, and only where something has been gained that is kept: however short slices are, each of
    them advances.

    Args:
        until: its end, by ``time.monotonic``, which processes of one machine share; infinite: there is none.
    """
    global _deadline
    before, _deadline = _deadline, until
    try:
        yield
    finally:
        _deadline = before


def deadline() -> float:
    """When the slice ends, by ``time.monotonic``; infinite where there is none."""
    return _deadline


def is_over(ahead_seconds: float = 0.0) -> bool:
    """Whether the slice has ended, or does within so many seconds."""
    return time.monotonic() + ahead_seconds >= _deadline


def request_if_over(ahead_seconds: float = 0.0) -> None:
    """Asks what runs in this process to stop where the slice ends before so many seconds, which the next step takes."""
    if is_over(ahead_seconds) and not requested():
        request(OUT_OF_TIME)


# ---- signals -------------------------------------------------------------------------------------


@contextmanager
def listening(on_overdue: Callable[[], None] | None = None, grace_seconds: float = 0.0) -> Iterator[None]:
    """Turns ``SIGNALS`` into requests until the body ends; does nothing outside of the main thread, which alone may.

    Args:
        on_overdue: called, in a thread, where the body goes on ``grace_seconds`` after SIGUSR2 announced its end.
        grace_seconds: how long.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = threading.Event()
    source, sink = os.pipe()
    os.set_blocking(sink, False)

    def listen() -> None:
        while number := os.read(source, 1)[0]:
            if number in (*SIGNALS, signal.SIGINT):
                request(signal.Signals(number).name)
            if number == signal.SIGUSR2 and on_overdue and not ended.wait(grace_seconds):
                on_overdue()

    thread = threading.Thread(target=listen, name="smile-signals", daemon=True)
    thread.start()
    handlers = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    wakeup = signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.write(sink, b"\0")
        thread.join(timeout=1)
        clear()
        if not thread.is_alive():  # on_overdue may still be at work, and then the process ends anyway
            os.close(source)
            os.close(sink)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits for the end of the body, whose threads would outlive it and fail alone; a second one does not.

    Raises:
        KeyboardInterrupt: after the body, where Ctrl-C fell into it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = threading.Event()

    def wait(*_: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked.is_set():
        raise KeyboardInterrupt

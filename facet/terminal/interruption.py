"""Ctrl-C and SIGTERM: a command that waits ends at once, and a command that writes finishes what it is writing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, so that it cleans up; also where Ctrl-C is ignored.

    Shells ignore Ctrl-C for the jobs of a script that run in the background.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does: asyncio cancels its task then. Where nothing handles Ctrl-C, raise KeyboardInterrupt."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt


class Interruption:
    """Whether the command was told to end.

    Attributes:
        asked: it was.
    """

    def __init__(self) -> None:
        self.asked = False
        self._is_waiting = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Handle the signals here until the block ends; for the main thread."""
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Mark a block that can be given up.

        Raises:
            KeyboardInterrupt: the command was told to end, before the block or during it.
        """
        self._is_waiting = True
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._is_waiting = False

    def _ask(self, *_: Any) -> None:
        self.asked = True
        if self._is_waiting:
            self._is_waiting = False
            raise KeyboardInterrupt

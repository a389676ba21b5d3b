"""Ctrl-C and SIGTERM for a script that writes: they end a wait at once, and never tear what is being written."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interruption:
    """Whether the script was told to end.

    Attributes:
        asked: it was.
    """

    def __init__(self) -> None:
        self.asked = False
        self._is_waiting = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Have the signals handled here meanwhile; for the main thread."""
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What is done meanwhile can be given up.

        Raises:
            KeyboardInterrupt: the script was told to end, before or meanwhile.
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

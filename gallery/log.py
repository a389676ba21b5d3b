"""What the gallery's own threads have to say; a server hands its log in."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """A log of events with facts, such as one of structlog."""

    def info(self, event: str, **facts: object) -> object:
        """Log an event."""

    def error(self, event: str, **facts: object) -> object:
        """Log a failure that an operator must see to."""


class _Silent:
    def info(self, event: str, **facts: object) -> None:
        pass

    def error(self, event: str, **facts: object) -> None:
        pass


SILENT: Log = _Silent()
"""Logs nothing."""

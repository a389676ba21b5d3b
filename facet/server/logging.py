"""Structured logs on standard error."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from facet.server.config import LogConfig


def configure(config: LogConfig, file: TextIO | None = None, *, process: int | None = None) -> None:
    """Configure structlog: minimum level, and lines for people or JSON for programs.

    Args:
        config: the settings.
        file: where the lines go; standard error if ``None``.
        process: the number of this process among those of a server, which every line has; ``None`` for none.
    """
    file = file or sys.stderr
    # It would repeat each second that the database is away, which is logged once.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    renderer: structlog.typing.Processor
    if config.format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=file.isatty())
    structlog.configure(
        processors=[
            *([] if process is None else [_numbered(process)]),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, config.level.upper())),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Lines(file))),
        cache_logger_on_first_use=True,
    )


class _Lines:
    """A file of lines. A line that cannot be written is lost: the disk is full, or a terminal or pipe is closed.

    Args:
        file: where the lines go.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write a line."""
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        """Write out what has been buffered."""
        with suppress(OSError):
            self._file.flush()


def _numbered(process: int) -> structlog.typing.Processor:
    def add(_logger: Any, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["process"] = process
        return event

    return add

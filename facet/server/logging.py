"""Structured logs on standard error."""

from __future__ import annotations

import logging
import sys

import structlog

from facet.server.config import LogConfig


def configure(config: LogConfig) -> None:
    """Configure structlog: minimum level, and lines for people or JSON for programs."""
    # It would repeat each second that the database is away, which is logged once.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    renderer: structlog.typing.Processor
    if config.format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, config.level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )

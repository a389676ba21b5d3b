"""Times such as ``90d`` on a command line."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d{1,6})([smhd])")


def is_duration(text: str) -> bool:
    """Whether this is a time such as ``90d``."""
    return _DURATION.fullmatch(text) is not None


def duration(text: str, option: str) -> timedelta:
    """Parse a time such as ``90d``, ``24h``, ``30m`` or ``10s``; exits with a usage error if it is none."""
    if (match := _DURATION.fullmatch(text)) is None:
        raise typer.BadParameter(f"{text!r} is no time such as 90d, 24h, 30m or 10s", param_hint=option)
    return timedelta(**{_UNITS[match[2]]: int(match[1])})

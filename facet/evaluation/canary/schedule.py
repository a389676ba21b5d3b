"""When a canary runs again."""

from __future__ import annotations


def seconds_until_next(first: float, every: float, now: float) -> float:
    """Seconds until the next run: at whole intervals after the first one. Starts that a long run missed are skipped.

    Args:
        first: when the first run began, in seconds of a clock that never goes back.
        every: seconds between runs, above 0.
        now: the time on the same clock.
    """
    return every - (now - first) % every


def told_if_longer(seconds: float, every: float) -> str:
    """Say that a run took longer than the time between runs; empty if it did not.

    Args:
        seconds: how long the run took.
        every: seconds between runs.
    """
    if seconds <= every:
        return ""
    return f"this run took {seconds:.1f} s, longer than --every {every:g}s: the starts that it missed are skipped"

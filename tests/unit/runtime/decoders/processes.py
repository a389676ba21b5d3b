"""Decoder processes, seen from outside."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from facet.runtime.decoders.decoder import Decoder

PATIENCE = 60.0
"""Seconds after which an expected event is taken never to happen."""


def state(process: Path) -> str:
    """The letter that the kernel gives for the state of a process; empty if there is none."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def stop(decoder: Decoder) -> None:
    """Stop a process, and wait until it has stopped: before that it may still take a request."""
    os.kill(decoder.pid, signal.SIGSTOP)
    end = time.monotonic() + PATIENCE
    while state(Path(f"/proc/{decoder.pid}")) != "T" and time.monotonic() < end:
        time.sleep(0.001)

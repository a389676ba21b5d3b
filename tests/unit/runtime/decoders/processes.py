"""Decoder processes, seen from outside."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from facet.runtime.decoders.decoder import Decoder
from tests.waiting import until


def state(process: Path) -> str:
    """The letter that the kernel gives for the state of a process; empty if there is none."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def stop(decoder: Decoder) -> None:
    """Stop a process, and wait until it has stopped: before that it may still take a request."""
    os.kill(decoder.pid, signal.SIGSTOP)
    until(lambda: state(Path(f"/proc/{decoder.pid}")) == "T")

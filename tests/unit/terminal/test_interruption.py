"""SIGTERM ends a command as Ctrl-C does."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from facet.terminal.interruption import interrupted_by_sigterm
from tests.waiting import turns


@pytest.mark.parametrize("ctrl_c", [signal.SIG_IGN, signal.default_int_handler], ids=["ignored", "handled"])
def test_sigterm_cancels_what_runs_and_lets_it_clean_up(ctrl_c: Any) -> None:
    cleaned = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            await turns(1)
            cleaned.append(True)

    before = signal.signal(signal.SIGINT, ctrl_c)
    try:
        with pytest.raises(KeyboardInterrupt), interrupted_by_sigterm():
            asyncio.run(work())
    finally:
        signal.signal(signal.SIGINT, before)
    assert cleaned == [True]

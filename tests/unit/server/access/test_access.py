"""Open calls of callers whose file changes, whatever else goes wrong meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facet.server.access import access as module
from facet.server.access.access import Access
from facet.server.access.callers import last_used
from facet.server.access.callers.callers_file import changing
from facet.server.access.callers.key import key_of
from facet.server.errors import Unauthenticated
from tests.unit.server.access.entries import CREATED, entry
from tests.waiting import PATIENCE, turns, until

IDENTIFY = "/facet.v1.RecognitionService/Identify"


class Call:
    """The context of a call with a key."""

    def invocation_metadata(self) -> Any:
        """Pairs of key and value."""
        return (("authorization", f"Bearer {key_of('cam', 'right')}"),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "facet.callers.json"
    with changing(path) as callers:
        callers.append(entry())
    return path


@pytest.fixture
def access(path: Path) -> Iterator[Access]:
    access = Access(None, path)
    yield access
    access.close()


def change(path: Path, **fields: Any) -> None:
    with changing(path) as callers:
        callers[0] = callers[0].model_copy(update=fields)


async def test_an_open_call_of_a_revoked_caller_ends_even_if_the_change_cannot_be_noted(
    access: Access, path: Path
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("the log is full")

    access.start(fail)
    grant = await access.admit(IDENTIFY, Call())
    async with asyncio.timeout(PATIENCE):
        change(path, label="another")
        with access.open(grant):
            await asyncio.to_thread(until, lambda: grant.identity.label == "another")
        change(path, revoked=CREATED)
        with pytest.raises(Unauthenticated), access.open(grant):
            await asyncio.Event().wait()


async def test_a_caller_is_revoked_while_a_change_is_being_noted(access: Access, path: Path) -> None:
    hangs, comes_back = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        hangs.set()
        comes_back.wait(PATIENCE)

    access.start(hang)
    try:
        grant = await access.admit(IDENTIFY, Call())
        change(path, label="another")
        await asyncio.to_thread(until, hangs.is_set)
        change(path, revoked=CREATED)
        async with asyncio.timeout(PATIENCE / 2):
            with pytest.raises(Unauthenticated), access.open(grant):
                await asyncio.Event().wait()
    finally:
        comes_back.set()


async def test_a_disk_that_hangs_does_not_keep_the_server_from_stopping(
    access: Access, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CLOSE_SECONDS", 0.05)
    hangs, comes_back = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        hangs.set()
        comes_back.wait()

    access.start(hang)
    change(path, label="another")
    await asyncio.to_thread(until, hangs.is_set)
    closing = asyncio.ensure_future(asyncio.to_thread(access.close))
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(closing)
    finally:
        comes_back.set()


async def test_the_last_uses_are_noted_when_the_server_stops(access: Access, path: Path) -> None:
    access.start()
    await access.admit(IDENTIFY, Call())
    access.close()
    assert set(last_used.read(path)) == {"key:cam"}


async def test_a_cancelled_call_stays_cancelled(access: Access) -> None:
    grant = await access.admit(IDENTIFY, Call())

    async def call() -> None:
        with access.open(grant):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(call())
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

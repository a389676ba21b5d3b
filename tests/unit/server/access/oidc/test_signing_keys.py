"""The provider's keys: kept while they cannot be read, and read again when they may have changed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from facet.server.access.oidc import signing_keys
from facet.server.access.oidc.signing_keys import KeysUnavailable, SigningKeys
from tests.identity_provider import jwk, serving
from tests.waiting import PATIENCE, turns, until


class Clock:
    """Monotonic seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def kept(location: str, clock: Clock) -> AsyncIterator[SigningKeys]:
    keys = SigningKeys(location, clock)
    keys.start()
    try:
        yield keys
    finally:
        await keys.stop()


def kids(keys: SigningKeys) -> list[str]:
    return [key.kid for key in keys.current.keys]


async def happens(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(until, condition)


async def test_an_unknown_key_makes_the_server_look_at_most_once_a_minute() -> None:
    clock = Clock()
    with serving(jwk("ES256", "k1")) as provider:
        async with kept(provider.url, clock) as keys:
            await happens(lambda: kids(keys) == ["k1"])
            provider.keys = [jwk("ES256", "k1"), jwk("ES256", "k2", 1)]
            await keys.newer()
            assert kids(keys) == ["k1", "k2"]
            asked = provider.asked
            for _ in range(50):
                await keys.newer()
            assert provider.asked == asked
            clock.now += 61
            provider.keys = [jwk("ES256", "k2", 1)]
            await keys.newer()
            assert kids(keys) == ["k2"], "a key that the provider has withdrawn is gone"


async def test_while_the_provider_does_not_answer_only_calls_with_unknown_keys_wait_and_not_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in ("_TIMEOUT_SECONDS", "_TOTAL_SECONDS"):  # it is away for as long as the test says
        monkeypatch.setattr(signing_keys, limit, PATIENCE)
    clock = Clock()
    with serving(jwk("ES256", "k1")) as provider:
        async with kept(provider.url, clock) as keys:
            await happens(lambda: kids(keys) == ["k1"])
            provider.may_answer.clear()
            waiting = [asyncio.ensure_future(keys.newer()) for _ in range(200)]
            await happens(lambda: provider.asked == 2)
            await turns()
            assert sum(not each.done() for each in waiting) == 64
            assert kids(keys) == ["k1"]
            provider.may_answer.set()
            await asyncio.gather(*waiting)
            assert provider.asked == 2, "all waited for one answer"


@pytest.mark.parametrize("served", [b"no JSON", b"{}", b'{"keys": []}', b" " * (2**20 + 1)])
async def test_keys_stay_in_use_while_the_provider_answers_something_else(served: bytes) -> None:
    clock = Clock()
    with serving(jwk("ES256", "k1")) as provider:
        async with kept(provider.url, clock) as keys:
            await happens(lambda: kids(keys) == ["k1"])
            provider.keys = served
            await keys.newer()
            assert provider.asked == 2
            assert kids(keys) == ["k1"]


@pytest.mark.parametrize("status", [302, 307, 404, 500])
async def test_errors_and_redirections_are_not_followed(status: int) -> None:
    clock = Clock()
    with serving(jwk("ES256", "k1")) as provider:
        provider.status = status
        async with kept(provider.url, clock) as keys:
            await keys.newer()
            assert (kids(keys), provider.asked) == ([], 1)


async def test_a_provider_that_cannot_be_reached_keeps_nobody_waiting_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with kept(f"http://127.0.0.1:{port}/", Clock()) as keys:
        await keys.newer()
        assert kids(keys) == []
        assert keys.problem
        assert keys.age is None


def write(path: Path, *keys: dict[str, object]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"keys": keys}), "utf-8")
    new.chmod(0o600)
    new.replace(path)


async def test_a_file_is_read_again_when_it_changes_and_its_keys_stay_while_it_is_broken(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    write(file, jwk("ES256", "k1"))
    async with kept(str(file), Clock()) as keys:
        assert kids(keys) == ["k1"]
        file.write_text("{", "utf-8")
        await keys.newer()
        assert kids(keys) == ["k1"]
        write(file, jwk("ES256", "k2", 1))
        await happens(lambda: kids(keys) == ["k2"])
        file.unlink()
        await happens(lambda: keys.problem)
        assert kids(keys) == ["k2"]


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_a_file_that_cannot_be_used_is_told_before_the_server_starts(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_text(content, "utf-8")
    with pytest.raises(KeysUnavailable):
        SigningKeys(str(file))


def test_a_file_that_others_can_write_or_that_is_none_is_refused(tmp_path: Path) -> None:
    file, pipe = tmp_path / "keys.json", tmp_path / "pipe"
    write(file, jwk("ES256", "k1"))
    file.chmod(0o664)
    with pytest.raises(KeysUnavailable, match="chmod go-w"):
        SigningKeys(str(file))
    file.chmod(0o644)
    assert kids(SigningKeys(str(file))) == ["k1"]
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(KeysUnavailable):
            SigningKeys(str(path))

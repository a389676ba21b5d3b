"""The identity provider's keys, as a file or a URL gives them: kept, and read again when they may have changed."""

from __future__ import annotations

import asyncio
import os
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from facet.server.access.oidc.key_set import MAX_BYTES, InvalidKeySet, KeySet, parse_key_set

_FILE_SECONDS = 1.0
"""A file is looked at this often."""
_URL_SECONDS = 300.0
"""A URL is read this often, so that a key that the provider has withdrawn does not stay."""
_RETRY_SECONDS = 15.0
"""The same after a failure."""
_UNKNOWN_KEY_SECONDS = 60.0
"""Tokens that name unknown keys make the server read the URL at most this often."""
_TIMEOUT_SECONDS = 5.0
_TOTAL_SECONDS = 10.0
_PART = 1 << 14
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MAX_WAITING = 64
"""Calls that wait for the key that their token names. Anybody can name one."""

_log = structlog.get_logger("facet.server.access")


class KeysUnavailable(Exception):
    """The keys cannot be read. The text says why, without what the URL or the file holds."""


class SigningKeys:
    """The keys of one identity provider. Use it from one event loop.

    Keys stay in use while newer ones cannot be read. A thread of its own reads them.

    Args:
        location: an https or http URL of a JWK set, or the path of a file with one.
        clock: monotonic seconds.

    Attributes:
        current: the keys.
        problem: why they cannot be read now; empty if they can.

    Raises:
        KeysUnavailable: the file cannot be used. A URL is read after the start, because the server also serves callers
            who need no provider.
    """

    def __init__(self, location: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._is_url = is_url(location)
        self._read: Callable[[], bytes] = _Url(location) if self._is_url else _File(Path(location))
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="oidc-keys")
        self._keeping: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._next_for_unknown = 0.0
        self._waiting = 0
        self.problem = ""
        self._read_at: float | None = None
        self.current = KeySet()
        if not self._is_url:
            try:
                self._take(_read_set(self._read))
            except KeysUnavailable as error:
                raise KeysUnavailable(f"access.oidc_keys: cannot use {location}: {error}") from None

    def start(self) -> None:
        """Keep the keys up to date, on the running event loop."""
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Read them no more."""
        for task in (self._keeping, self._reading):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def newer(self) -> None:
        """Wait for keys that are read now, because a token names an unknown one.

        Returns at once if they were read for this reason within the last minute, or if many calls wait already.
        """
        if self._reading is None and self._clock() >= self._next_for_unknown:
            self._next_for_unknown = self._clock() + _UNKNOWN_KEY_SECONDS
            self._begin()
        if self._reading is None or self._waiting >= _MAX_WAITING:
            return
        self._waiting += 1
        try:
            await asyncio.shield(self._reading)
        finally:
            self._waiting -= 1

    @property
    def age(self) -> float | None:
        """Seconds since the keys were last read; ``None`` if they never were."""
        return None if self._read_at is None else self._clock() - self._read_at

    async def _keep(self) -> None:
        while True:
            await asyncio.shield(self._begin())
            failed = _RETRY_SECONDS if self.problem else _URL_SECONDS
            await asyncio.sleep(failed if self._is_url else _FILE_SECONDS)

    def _begin(self) -> asyncio.Task[None]:
        """Read the keys, unless that is under way."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._update())
        return self._reading

    async def _update(self) -> None:
        try:
            keys = await asyncio.get_running_loop().run_in_executor(self._thread, _read_set, self._read)
        except KeysUnavailable as error:
            if str(error) != self.problem:
                self.problem = str(error)
                _log.error("cannot read the OIDC keys; those read before stay in use", problem=self.problem)
        else:
            self._take(keys)
        finally:
            self._reading = None

    def _take(self, keys: KeySet) -> None:
        if self.problem:
            _log.info("the OIDC keys can be read again")
        self.problem, self._read_at = "", self._clock()
        if keys != self.current:  # what the same keys have verified stays so
            self.current = keys


def is_url(location: str) -> bool:
    """Whether keys come from a URL, and not from a file."""
    return urlsplit(location).scheme in ("http", "https")


def _read_set(read: Callable[[], bytes]) -> KeySet:
    try:
        return parse_key_set(read())
    except InvalidKeySet as error:
        raise KeysUnavailable(str(error)) from None
    except urllib.error.HTTPError as error:
        error.close()
        raise KeysUnavailable(f"the provider answers {error.code}") from None
    except urllib.error.URLError as error:
        raise KeysUnavailable(f"the provider cannot be reached: {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise KeysUnavailable(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None


class _File:
    """Reads a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> bytes:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise KeysUnavailable("it is not a file")
            if mode & _OTHERS_WRITE:
                raise KeysUnavailable(f"other users can write it, and let themselves in: chmod go-w {self._path}")
            return file.read(MAX_BYTES + 1)


class _Url:
    """Reads a URL within a time, and not beyond a size. It follows no redirection, which could lead to another host."""

    def __init__(self, url: str) -> None:
        self._request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - is_url
        self._opener = urllib.request.build_opener(_NoRedirection)

    def __call__(self) -> bytes:
        latest = time.monotonic() + _TOTAL_SECONDS
        data = bytearray()
        with self._opener.open(self._request, timeout=_TIMEOUT_SECONDS) as answer:
            while len(data) <= MAX_BYTES and (part := answer.read1(_PART)):
                if time.monotonic() > latest:
                    raise TimeoutError("the provider answers too slowly")
                data += part
        return bytes(data)


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Let the redirection be an error."""

"""Whether the time of a refusal tells how close a wrong key came: unknown id, wrong first byte, wrong last byte."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import numpy as np

from facet.server.access.authentication import Authenticator
from facet.server.access.callers import callers_file, key
from facet.server.access.callers.callers_file import CallerEntry
from facet.server.access.callers.watched_callers import WatchedCallers
from facet.server.errors import Unauthenticated

_CALLERS = 50
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyTiming:
    """How long the server takes to refuse keys, without gRPC.

    Attributes:
        key_timing_us: the largest difference between the medians of two kinds of wrong keys, microseconds.
        key_timing_spread_us: the interquartile range of one kind, microseconds: what chance does to a single try.
    """

    key_timing_us: float
    key_timing_spread_us: float


@dataclass(frozen=True, slots=True)
class _Call:
    """What authentication reads of a call."""

    authorization: str

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return (("authorization", self.authorization),)


def key_timing(folder: Path, rounds: int) -> KeyTiming:
    """Refuse wrong keys of every kind, in random order.

    Args:
        folder: for the callers file.
        rounds: tries of each kind.
    """
    known = [(key.new_id(), secrets.token_bytes(_SECRET_BYTES)) for _ in range(_CALLERS)]
    callers = folder / "timing.callers.json"
    with callers_file.changing(callers) as entries:
        entries += [_entry(caller_id, secret) for caller_id, secret in known]
    authenticator = Authenticator(None, WatchedCallers(callers))
    chance = np.random.default_rng(_CALLERS)
    times = np.empty((rounds, len(_KINDS)))
    for at in range(rounds):
        for kind in chance.permutation(len(_KINDS)):
            caller_id, secret = _KINDS[kind](*known[chance.integers(_CALLERS)])
            call = _Call(f"Bearer {key.key_of(caller_id, secret.hex())}")
            begun = time.perf_counter_ns()
            with suppress(Unauthenticated):
                authenticator.claim(call)()
            times[at, kind] = (time.perf_counter_ns() - begun) / 1e3
    medians = np.median(times, axis=0)
    low, high = np.percentile(times[:, 0], (25, 75))
    return KeyTiming(
        key_timing_us=round(max(abs(float(a - b)) for a, b in combinations(medians, 2)), 3),
        key_timing_spread_us=round(float(high - low), 3),
    )


def _entry(caller_id: str, secret: bytes) -> CallerEntry:
    return CallerEntry(
        id=caller_id,
        kind="key",
        sha256=key.sha256(secret.hex()),
        scopes=["recognize"],
        galleries=["*"],
        created=datetime.now(UTC),
    )


def _of_nobody(caller_id: str, secret: bytes) -> tuple[str, bytes]:
    return caller_id[::-1], bytes(secret)


def _wrong_first(caller_id: str, secret: bytes) -> tuple[str, bytes]:
    return caller_id, bytes([secret[0] ^ 1]) + secret[1:]


def _wrong_last(caller_id: str, secret: bytes) -> tuple[str, bytes]:
    return caller_id, secret[:-1] + bytes([secret[-1] ^ 1])


_KINDS: Sequence[Callable[[str, bytes], tuple[str, bytes]]] = (_of_nobody, _wrong_first, _wrong_last)

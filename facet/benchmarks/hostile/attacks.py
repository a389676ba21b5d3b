"""Runs one attack: a quiet time, the attack, and the time until the server has recovered."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from facet.benchmarks.hostile.attackers.attacker import Attacker, Tally, Target, run_in_process
from facet.benchmarks.hostile.figures import (
    MAX_GROWTH_MB,
    MAX_P99_RATIO,
    Attack,
    Call,
    due_between,
    failures,
    growth,
    latency_back,
    memory_back,
    most,
    p99,
)
from facet.benchmarks.hostile.victims import RATES, Habits, Victims
from facet.benchmarks.watched_server import Sample, WatchedServer

_TICK = 0.05
_WARM_UP_SECONDS = 2.0
_WATCHED_SECONDS = 10.0
"""The longest time in which a server may recover before the next attack."""
_GROWTH_THAT_ENDS_MB = 6000.0
"""An attack that takes more memory from the server is ended, so that the machine survives it."""
_PREPARATION_SECONDS = 120.0
_NOTHING = Sample(0.0, 0.0, 0, 0)


def run_attack(
    server: WatchedServer, habits: Habits, attacker: Attacker, seconds: float, *, authenticated: bool
) -> Attack:
    """Attack a server that has just been started.

    Args:
        server: it.
        habits: of the victims.
        attacker: who attacks.
        seconds: duration of the attack, and of the quiet time before.
        authenticated: whether the attacker has the token.

    Raises:
        RuntimeError: the process of the victims or of the attacker ended early.
    """
    known = Target.of(server, habits.portrait)
    target = known if authenticated else replace(known, token="")
    with Victims(known, habits) as victims, _AttackerProcess(attacker, target, seconds) as attack:
        attack.wait_until_prepared()
        seen = _Observation(server, victims, habits.patience)
        seen.warm_up()
        seen.watch_idle(seconds)
        seen.watch_attack(attack)
        seen.watch_recovery()
        return seen.result(attacker, attack.tally, authenticated=authenticated)


@dataclass(slots=True)
class _Observation:
    """What victims and server do before, during and after an attack. Times are those of ``time.monotonic``.

    Attributes:
        quiet_from: when the quiet time began.
        began: when the attack began.
        ended: when it ended.
        idle: the most that the server needed before.
        recovered: seconds from the end until the server had recovered; ``None`` if it has not.
    """

    server: WatchedServer
    victims: Victims
    patience: float
    samples: list[Sample] = field(default_factory=list)
    quiet_from: float = 0.0
    began: float = 0.0
    ended: float = 0.0
    idle: Sample = _NOTHING
    recovered: float | None = None

    def warm_up(self) -> None:
        """Wait until the victims are served, and a little longer."""
        self._until(lambda: len(self.victims.calls) > sum(RATES.values()))
        self._wait(_WARM_UP_SECONDS)

    def watch_idle(self, seconds: float) -> None:
        """Watch the server without an attack."""
        self.samples.clear()
        self.quiet_from = time.monotonic()
        self._wait(seconds)
        self.idle = most(self.samples)

    def watch_attack(self, attack: _AttackerProcess) -> None:
        """Watch the server from the beginning of an attack to its end."""
        self.began = time.monotonic()
        attack.start()
        too_much = self.idle.rss_mb + _GROWTH_THAT_ENDS_MB
        self._until(lambda: attack.over or self.samples[-1].rss_mb > too_much)
        attack.stop()
        self.ended = time.monotonic()

    def watch_recovery(self) -> None:
        """Watch the server until it has recovered and all calls that were made during the attack have ended."""
        limit_ms = MAX_P99_RATIO * p99(self._calls(self.quiet_from, self.began), self.patience)
        give_up = self.ended + max(_WATCHED_SECONDS, self.patience + 1)

        def is_over() -> bool:
            latency = latency_back(self._calls(self.ended), self.ended, limit_ms, self.patience)
            memory = memory_back(self.samples, self.ended, self.idle.rss_mb + MAX_GROWTH_MB)
            self.recovered = None if latency is None or memory is None else max(latency, memory)
            is_known = self.recovered is not None and not self.victims.open_before(self.ended)
            return is_known or time.monotonic() > give_up

        self._until(is_over)

    def result(self, attacker: Attacker, tally: Tally, *, authenticated: bool) -> Attack:
        """What the attack did."""
        before, during = self._calls(self.quiet_from, self.began), self._calls(self.began, self.ended)
        failed = failures(self._calls(self.quiet_from))
        p99_before, p99_during = p99(before, self.patience), p99(during, self.patience)
        grown = growth([sample for sample in self.samples if sample.time >= self.began], self.idle)
        watched = time.monotonic() - self.ended
        return Attack(
            name=attacker.name,
            what=attacker.what,
            authenticated=authenticated,
            did=dict(sorted(tally.items())),
            victim_p99_before_ms=p99_before,
            victim_p99_ms=p99_during,
            victim_p99_ratio=round(p99_during / p99_before, 2) if p99_before else 0.0,
            victim_p99_by_kind_ms={
                kind: tuple(
                    p99([call for call in calls if call.kind == kind], self.patience) for calls in (before, during)
                )
                for kind in RATES
            },
            victim_calls=len(during),
            victim_failures=sum(failed.values()),
            failures=failed,
            internal_errors=self.server.internal_errors(),
            rss_growth_mb=grown.rss_mb,
            thread_growth=grown.threads,
            descriptor_growth=grown.descriptors,
            recovered_s=round(watched if self.recovered is None else self.recovered, 2),
            stray_log_lines=len(self.server.stray_lines()),
            died=not self.server.is_alive,
        )

    def _p99(self, kind: str, calls: Sequence[Call]) -> float:
        return p99([call for call in calls if call.kind == kind], self.patience)

    def _calls(self, start: float, end: float = math.inf) -> list[Call]:
        """The calls that were due in an interval, the open ones as well."""
        return due_between([*self.victims.calls, *self.victims.open], start, end)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._until(lambda: time.monotonic() >= end)

    def _until(self, is_over: Callable[[], bool]) -> None:
        """Watch until something is over."""
        while not self.samples or not is_over():
            time.sleep(_TICK)
            self.victims.collect()
            self.samples.append(self.server.sample())


class _AttackerProcess:
    """The process of an attacker, from its preparation to its end."""

    def __init__(self, attacker: Attacker, target: Target, seconds: float) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, child = spawn.Pipe()
        arguments = (attacker, target, seconds, child)
        self._process = spawn.Process(target=run_in_process, args=arguments, daemon=True)
        self._process.start()
        child.close()
        self.tally: Tally = Counter()

    def wait_until_prepared(self) -> None:
        """Wait until everything that is sent is built.

        Raises:
            RuntimeError: the process has ended.
        """
        try:
            if self._pipe.poll(_PREPARATION_SECONDS):
                self._pipe.recv()
                return
        except EOFError:
            pass
        raise RuntimeError("the process of the attacker has ended; it said why above")

    def start(self) -> None:
        """Begin the attack."""
        self._pipe.send("go")

    @property
    def over(self) -> bool:
        """Whether the attack is over."""
        if self._pipe.poll():
            try:
                self.tally = self._pipe.recv()
            except EOFError:
                raise RuntimeError("the process of the attacker has ended; it said why above") from None
            return True
        return False

    def stop(self) -> None:
        """End the process; the system closes its connections."""
        self._process.kill()
        self._process.join()

    def __enter__(self) -> _AttackerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

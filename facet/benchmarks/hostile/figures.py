"""What an attack did to the victims and to the server, in figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from facet.benchmarks.timing import percentile
from facet.benchmarks.watched_server import Sample

MAX_P99_RATIO = 1.5
MAX_GROWTH_MB = 300.0
MAX_RECOVERY_SECONDS = 2.0

_QUIET_SECONDS = 0.5
"""Victims' latency is back when all calls within so many seconds are as quick as they should be."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a victim. Times are those of ``time.monotonic``.

    Attributes:
        kind: of the victim.
        due: when it should be made.
        ended: when it was answered or given up; for an open call, any later time.
        outcome: empty if it was answered, the reason if it failed, ``None`` while it is open.
    """

    kind: str
    due: float
    ended: float
    outcome: str | None

    def milliseconds(self, patience: float) -> float:
        """From the time it was due to its answer. A call that failed counts as if it had taken all its time.

        Args:
            patience: seconds after which a victim gives up.
        """
        return (patience if self.outcome else self.ended - self.due) * 1e3


@dataclass(frozen=True, slots=True)
class Attack:
    """What one attacker did.

    Attributes:
        name: of the attacker.
        what: it does, in one line.
        authenticated: whether it had the token.
        did: numbers of connections, calls and the like.
        victim_p99_before_ms: 99th percentile of the victims' latency before the attack.
        victim_p99_ms: during it.
        victim_p99_ratio: the latter over the former.
        victim_p99_by_kind_ms: before and during the attack, by kind of victim.
        victim_calls: number of the victims' calls that were due during the attack.
        victim_failures: number of those that failed, also after the client's own retries, before or during recovery.
        failures: number of those by kind of victim and reason.
        internal_errors: calls that the server answered with INTERNAL, and lines about unexpected errors in its log.
        rss_growth_mb: the server's most resident memory over the idle server, MiB.
        thread_growth: its most threads over the idle server.
        descriptor_growth: its most open descriptors over the idle server.
        recovered_s: seconds from the end of the attack until the victims' latency was back and memory within bounds. If
            that did not happen while they were watched, the time that they were watched.
        stray_log_lines: lines on the server's standard error that are not its log.
        died: whether the server's process ended.
    """

    name: str
    what: str
    authenticated: bool
    did: Mapping[str, int]
    victim_p99_before_ms: float
    victim_p99_ms: float
    victim_p99_ratio: float
    victim_p99_by_kind_ms: Mapping[str, Sequence[float]]
    victim_calls: int
    victim_failures: int
    failures: Mapping[str, int]
    internal_errors: int
    rss_growth_mb: float
    thread_growth: int
    descriptor_growth: int
    recovered_s: float
    stray_log_lines: int
    died: bool

    def missed(self) -> list[str]:
        """The figures that miss their bar, in words."""
        bars = (
            (self.died, "the server died"),
            (self.victim_p99_ratio > MAX_P99_RATIO, "latency"),
            (self.victim_failures > 0, "failures"),
            (self.internal_errors > 0, "internal errors"),
            (self.rss_growth_mb > MAX_GROWTH_MB, "memory"),
            (self.recovered_s > MAX_RECOVERY_SECONDS, "recovery"),
        )
        return [said for is_missed, said in bars if is_missed]


@dataclass(frozen=True, slots=True)
class Hostile:
    """The result: the worst of every figure, and every attack.

    Attributes:
        attacks: in the order in which they ran; at least one.
        machine: facts about it.
        seconds: duration of each attack.
    """

    attacks: Sequence[Attack]
    machine: Mapping[str, Any]
    seconds: float
    bars: Mapping[str, float] = field(
        default_factory=lambda: {
            "victim_p99_ratio": MAX_P99_RATIO,
            "victim_failures": 0,
            "internal_errors": 0,
            "rss_growth_mb": MAX_GROWTH_MB,
            "recovered_s": MAX_RECOVERY_SECONDS,
        }
    )

    def document(self) -> dict[str, Any]:
        """The result as JSON: the worst figures, and a record for each attacker."""
        worst = {name: max(getattr(attack, name) for attack in self.attacks) for name in self.bars}
        attacks = [asdict(attack) | {"missed": attack.missed()} for attack in self.attacks]
        return worst | {
            "within_bars": not any(attack.missed() for attack in self.attacks),
            "bars": dict(self.bars),
            "seconds": self.seconds,
            "attacks": attacks,
            "machine": dict(self.machine),
        }


def p99(calls: Sequence[Call], patience: float) -> float:
    """The 99th percentile of latency, milliseconds; 0 without calls."""
    return percentile([call.milliseconds(patience) for call in calls], 99) if calls else 0.0


def due_between(calls: Sequence[Call], start: float, end: float) -> list[Call]:
    """The calls that were due in an interval of time."""
    return [call for call in calls if start <= call.due < end]


def latency_back(calls: Sequence[Call], ended: float, limit_ms: float, patience: float) -> float | None:
    """When the victims' latency was back after an attack, in seconds from its end; ``None`` if it was not.

    It is back at the first moment after which all calls that are due within half a second are answered within a limit.
    A later outlier does not count, so one slow call of a calm server is not taken for a slow recovery.

    Args:
        calls: of the victims, those that are open as well.
        ended: when the attack ended.
        limit_ms: the most that a call may take.
        patience: seconds after which a victim gives up.
    """
    later = sorted((call for call in calls if call.due >= ended), key=lambda call: call.due)
    slow = [call.due for call in later if call.outcome is None or call.milliseconds(patience) > limit_ms]
    for start in (ended, *(call.due for call in later)):
        end = start + _QUIET_SECONDS
        if not later or end > later[-1].due:
            return None
        if not any(start <= due < end for due in slow):
            return start - ended
    return None


def memory_back(samples: Sequence[Sample], ended: float, limit_mb: float) -> float | None:
    """When memory was within its limit after an attack, for as long as it was watched; ``None`` if it was not.

    Args:
        samples: of the server by rising time.
        ended: when the attack ended.
        limit_mb: the most resident memory.

    Returns:
        Seconds from the end of the attack.
    """
    later = [sample for sample in samples if sample.time >= ended]
    over = [sample.time for sample in later if sample.rss_mb > limit_mb]
    if not over:
        return 0.0 if later else None
    return next((sample.time - ended for sample in later if sample.time > over[-1]), None)


def failures(calls: Sequence[Call]) -> dict[str, int]:
    """The number of failed calls by kind and reason."""
    counts: dict[str, int] = {}
    for call in calls:
        if call.outcome:
            name = f"{call.kind}: {call.outcome}"
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def most(samples: Sequence[Sample]) -> Sample:
    """The most of every figure; at least one sample."""
    return Sample(
        time=samples[-1].time,
        rss_mb=max(each.rss_mb for each in samples),
        threads=max(each.threads for each in samples),
        descriptors=max(each.descriptors for each in samples),
    )


def growth(samples: Sequence[Sample], idle: Sample) -> Sample:
    """The most of every figure over the idle server; none is below 0."""
    highest = most([idle, *samples])
    return Sample(
        time=highest.time,
        rss_mb=round(highest.rss_mb - idle.rss_mb, 1),
        threads=highest.threads - idle.threads,
        descriptors=highest.descriptors - idle.descriptors,
    )

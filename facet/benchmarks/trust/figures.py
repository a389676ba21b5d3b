"""What ``facet bench trust`` measures, and the bar of each figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from facet.benchmarks.trust.at_rest import AtRest
from facet.benchmarks.trust.key_timing import KeyTiming

BARS: Mapping[str, float] = {
    "tls_key_ms": 1.0,
    "audit_p50_ms": 0.2,
    "start_ratio": 1.1,
    "search_ratio": 1.05,
    "revoke_s": 1.0,
    "key_timing_us": 0.5,
}
"""The most that a figure may be. Two servers without encryption differ by up to 5 % in their searches."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What protection costs.

    Attributes:
        tls_key_ms: what TLS and a key add to GetGallery, median of paired calls, milliseconds.
        audit_p50_ms: what the audit log adds to SearchEmbedding, the same.
        audit_change_ms: what it adds to UpdateGallery, the same.
        audit_always_ms: what it adds to EnrollFace if entries are on disk before the change (``audit.fsync=always``).
        revoke_s: from the command that revokes a key to the end of the key's open stream, the longest of several
            times, seconds.
        key_timing: what the time of a refusal tells of a key.
        at_rest: encryption at rest.
        machine: what it was measured on.
    """

    tls_key_ms: float
    audit_p50_ms: float
    audit_change_ms: float
    audit_always_ms: float
    revoke_s: float
    key_timing: KeyTiming
    at_rest: AtRest
    machine: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """The figures by name, for ``--json``."""
        plain = asdict(self)
        parts = plain.pop("key_timing") | plain.pop("at_rest")
        return {**plain, **parts, "bars": dict(BARS), "missed": self.missed()}

    def missed(self) -> list[str]:
        """The figures that are over their bars."""
        figures = {**asdict(self), **asdict(self.at_rest), **asdict(self.key_timing)}
        return [name for name, bar in BARS.items() if figures[name] > bar]

"""The sizes that decide how an index in memory searches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IndexSizes:
    """When an index switches to binary codes, and how much a candidate search considers: docs/performance.md.

    Attributes:
        exact_rows: up to this many templates, a probe is compared with every one. That takes as long as a candidate
            search among somewhat more.
        segment_rows: templates in a segment, the most that growing and compacting copy.
        nearest_share: a candidate search considers at most this share of the gallery, nearest by binary code,
        nearest_rows: or this many templates, if that is more.
    """

    exact_rows: int = 16_384
    segment_rows: int = 262_144
    nearest_share: float = 1 / 64
    nearest_rows: int = 8192

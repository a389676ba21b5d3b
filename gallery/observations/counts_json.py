"""Counts as compressed JSON, for a store's row. Only bins with a count take room."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from gallery.observations.quantities import SHAPES, Quantity
from gallery.observations.records import MAX_COUNT, Counts, dense, sparse
from gallery.records.identifications import Decision

MAX_BYTES = 1 << 20
"""Maximum length of the JSON, in bytes."""


class InvalidCounts(Exception):
    """The bytes are not counts in this format."""


def to_bytes(counts: Counts) -> bytes:
    """Write counts."""
    plain = {
        "decisions": {decision.value: count for decision, count in counts.decisions.items() if count},
        "templates_compared": counts.templates_compared,
        "undecoded": counts.undecoded,
        "histograms": {
            quantity.value: [list(bins), list(bins.values())]
            for quantity, histogram in counts.histograms.items()
            if (bins := sparse(histogram))
        },
    }
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), level=6)


def from_bytes(data: bytes) -> Counts:
    """Read the output of :func:`to_bytes`; quantities and decisions of newer versions are ignored.

    Raises:
        InvalidCounts: the bytes are something else.
    """
    try:
        inflate = zlib.decompressobj()
        text = inflate.decompress(data, MAX_BYTES)
        if not inflate.eof:
            raise InvalidCounts("they are incomplete or too long")
        plain = json.loads(text)
        decisions, histograms = plain["decisions"], plain["histograms"]
        return Counts(
            {each: _count(decisions.get(each.value, 0)) for each in Decision},
            _count(plain["templates_compared"]),
            {each: dense(_bins(histograms, each), each) for each in SHAPES},
            _count(plain.get("undecoded", 0)),
        )
    except (zlib.error, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidCounts("they are not counts") from error


def _bins(histograms: Mapping[str, Any], quantity: Quantity) -> dict[int, int]:
    indices, counts = histograms.get(quantity.value, ((), ()))
    return {_count(index): _count(count) for index, count in zip(indices, counts, strict=True)}


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ValueError
    return value

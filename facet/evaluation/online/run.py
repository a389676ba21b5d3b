"""Reads from a server what it estimates of a gallery in use, day by day, and the counts behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet import AsyncClient
from facet.evaluation.intervals import Figure, none
from facet.v1 import observations_pb2 as pb
from gallery.observations.quantities import BINS, Quantity
from gallery.observations.records import DAY, HOUR, start_of

RATES = ("unknown_share", "fpir", "fnir")
INCONCLUSIVE = "the counts do not tell: canaries and outcomes do"
"""The note of a figure whose interval is too wide."""
NOTHING_COMPARED = "no camera or caller is compared yet"
"""The note of the number of changed sources if none is compared with a reference period."""
_SHOWN = 3
"""Histograms of each source: of the quantities that moved most."""
_NAMES = {each.value: each for each in BINS}


@dataclass(frozen=True, slots=True)
class OnlineRun:
    """What was read.

    Attributes:
        whole: the assessment of the whole period.
        days: the assessment of each UTC calendar day of the period, with the time at which it begins.
        histograms: for each source the shares of the bins of the quantities that moved most: ``recent``, ``reference``
            and ``edges``, by quantity.
    """

    whole: pb.AssessGalleryResponse
    days: tuple[tuple[datetime, pb.AssessGalleryResponse], ...]
    histograms: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)


async def fetch(
    client: AsyncClient, gallery_id: str, *, now: datetime, days: int, advance: Callable[[], None]
) -> OnlineRun:
    """Assess the last days of a gallery: whole UTC calendar days, and the one of ``now`` so far.

    Args:
        client: of the server.
        gallery_id: the gallery.
        now: the end of the period, with a time zone.
        days: number of whole days, at least 1.
        advance: called ``days + 2`` times.
    """
    first = start_of(now, DAY) - days * DAY
    whole = await client.assess_gallery(gallery_id, since=first, until=now)
    histograms = {}
    for each in whole.sources:
        if found := await _histograms(client, gallery_id, each, now):
            histograms[each.source] = found
    advance()
    of_days = []
    for number in range(days + 1):
        since = first + number * DAY
        assessed = await client.assess_gallery(gallery_id, since=since, until=since + DAY)
        of_days.append((since, assessed))
        advance()
    return OnlineRun(whole, tuple(of_days), histograms)


def figures(run: OnlineRun) -> dict[str, Any]:
    """The figures of the source with the most faces, and counts of all."""
    sources = run.whole.sources
    most = max(sources, key=lambda each: each.faces, default=None)
    note = "no faces" if most is None else most.no_estimate
    compared = sum(_is_compared(each) for each in sources)
    changed = sum(each.drift.alarm for each in sources)
    shares = {name: none(note) if most is None else figure(most, name) for name in RATES}
    return {
        **shares,
        "source": most.source if most else "",
        "sources": len(sources),
        "compared_sources": compared,
        "changed_sources": changed if compared else none(NOTHING_COMPARED),
        "faces": sum(each.faces for each in sources),
        "matches": sum(each.matches for each in sources),
        "refused_faces": sum(each.refused for each in sources),
        "deployed_threshold": float(np.float32(run.whole.threshold)),
    }


def by_source(run: OnlineRun) -> list[dict[str, Any]]:
    """A row for each source: its figures, and what changed; ``changed`` is ``None`` if it is not compared."""
    return [
        {
            "source": each.source,
            "faces": each.faces,
            "changed": each.drift.alarm if _is_compared(each) else None,
            "moved": ", ".join(shift.quantity for shift in each.drift.shifts if shift.moved),
            "not_compared": each.drift.not_compared,
            **{name: figure(each, name).as_json() for name in RATES},
            "note": each.no_estimate,
        }
        for each in run.whole.sources
    ]


def by_day(run: OnlineRun) -> list[dict[str, Any]]:
    """A row for each source and day that has faces."""
    return [
        {
            "source": each.source,
            "day": since.date().isoformat(),
            "faces": each.faces,
            **{name: figure(each, name).as_json() for name in RATES},
        }
        for since, assessed in run.days
        for each in assessed.sources
        if each.faces
    ]


def figure(assessed: pb.SourceAssessment, name: str) -> Figure:
    """One of :data:`RATES` of a source; without a value if there is no estimate, or one that tells nothing."""
    if not assessed.HasField(name):  # type: ignore[arg-type]  # the stub lists the names of all fields, as literals
        return none(assessed.no_estimate)
    share: pb.ShareInterval = getattr(assessed, name)
    if share.inconclusive:
        return Figure(None, share.low, share.high, INCONCLUSIVE)
    return Figure(share.value, share.low, share.high)


def _is_compared(assessed: pb.SourceAssessment) -> bool:
    return assessed.drift.alarm or not assessed.drift.not_compared


async def _histograms(
    client: AsyncClient, gallery_id: str, assessed: pb.SourceAssessment, now: datetime
) -> dict[str, dict[str, Any]]:
    """The histograms of what moved most: since the change, or of the newest day, and of the reference period."""
    drift = assessed.drift
    shown = [_NAMES[each.quantity] for each in drift.shifts if each.quantity in _NAMES][:_SHOWN]
    if not shown or not drift.HasField("reference_since"):
        return {}
    since = _time(drift.alarm_since) if drift.HasField("alarm_since") else now - DAY
    recent = await _added(client, gallery_id, assessed.source, since, now)
    usual = await _added(
        client, gallery_id, assessed.source, _time(drift.reference_since), _time(drift.reference_until)
    )
    return {
        each.value: {
            "recent": _shares(recent[each]),
            "reference": _shares(usual[each]),
            "edges": list(BINS[each].edges),
        }
        for each in shown
        if recent[each].any() and usual[each].any()
    }


async def _added(
    client: AsyncClient, gallery_id: str, source: str, since: datetime, until: datetime
) -> dict[Quantity, NDArray[np.int64]]:
    total = {each: np.zeros(len(BINS[each]), np.int64) for each in BINS}
    pages = client.iter_observations(gallery_id, since=since - HOUR, until=until, source=source, page_size=100)
    async for observation in pages:
        if _time(observation.start_time) < since:
            continue
        for histogram in observation.histograms:
            if (quantity := _NAMES.get(histogram.quantity)) is not None:
                total[quantity][list(histogram.bins)] += np.array(histogram.counts, np.int64)
    return total


def _time(stamp: Any) -> datetime:
    moment: datetime = stamp.ToDatetime(UTC)
    return moment


def _shares(counts: NDArray[np.int64]) -> list[float]:
    shares: list[float] = np.round(counts / counts.sum(), 6).tolist()
    return shares

"""Converts observations, and what follows from them, to messages."""

from __future__ import annotations

from facet.server.wire.terms import timestamp
from facet.v1 import observations_pb2 as pb
from gallery.estimation.estimates import MAX_ERROR_WIDTH, Interval
from gallery.estimation.observation_history import ComparedSource
from gallery.observations.records import Observation, sparse
from gallery.records.identifications import Decision


def observation(found: Observation) -> pb.Observation:
    """Convert an observation; histograms without a count are left out."""
    counts = found.counts
    by_quantity = {quantity: sparse(histogram) for quantity, histogram in counts.histograms.items()}
    return pb.Observation(
        source=found.source,
        start_time=timestamp(found.start),
        end_time=timestamp(found.end),
        matches=counts.decisions[Decision.MATCH],
        unknown=counts.decisions[Decision.UNKNOWN],
        refused=counts.decisions[Decision.REFUSED],
        templates_compared=counts.templates_compared,
        undecoded=counts.undecoded,
        histograms=[
            pb.Histogram(quantity=quantity.value, bins=list(bins), counts=list(bins.values()))
            for quantity, bins in by_quantity.items()
            if bins
        ],
    )


def interval(share: Interval | None, widest: float = MAX_ERROR_WIDTH) -> pb.ShareInterval | None:
    """Convert a share and its interval, which tells nothing if it is wider than ``widest``."""
    if share is None:
        return None
    return pb.ShareInterval(value=share.value, low=share.low, high=share.high, inconclusive=share.is_wider_than(widest))


def drift_message(compared: ComparedSource) -> pb.DriftAssessment:
    """Convert a comparison with a reference period."""
    found, since, until = compared.drift, compared.reference.since, compared.reference.until
    return pb.DriftAssessment(
        alarm=found.alarm,
        alarm_since=None if compared.alarm_since is None else timestamp(compared.alarm_since),
        faces=found.faces,
        reference_faces=found.reference_faces,
        reference_since=None if since is None else timestamp(since),
        reference_until=None if until is None else timestamp(until),
        probability=found.probability,
        shifts=[
            pb.QuantityShift(
                quantity=shift.name,
                distance=shift.distance,
                limit=shift.limit,
                rise=shift.rise,
                probability=shift.probability,
                moved=shift.moved,
            )
            for shift in found.shifts
        ],
        not_compared="" if found.reason is None else found.reason.value,
    )

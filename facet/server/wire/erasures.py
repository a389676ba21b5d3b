"""Records of erasures to messages."""

from __future__ import annotations

from facet.server.wire.terms import timestamp
from facet.v1 import gallery_service_pb2 as pb
from gallery.records.erasures import Erasure, ErasureCause, ErasureOutcome, MadeCopy

_CAUSES = {
    ErasureCause.SUBJECT_DELETED: pb.ERASURE_CAUSE_SUBJECT_DELETED,
    ErasureCause.TEMPLATE_DELETED: pb.ERASURE_CAUSE_TEMPLATE_DELETED,
    ErasureCause.GALLERY_DELETED: pb.ERASURE_CAUSE_GALLERY_DELETED,
    ErasureCause.SUBJECT_EXPIRED: pb.ERASURE_CAUSE_SUBJECT_EXPIRED,
    ErasureCause.TEMPLATE_EXPIRED: pb.ERASURE_CAUSE_TEMPLATE_EXPIRED,
}
_OUTCOMES = {
    ErasureOutcome.PENDING: pb.ERASURE_OUTCOME_PENDING,
    ErasureOutcome.NOT_FOUND: pb.ERASURE_OUTCOME_NOT_FOUND,
    ErasureOutcome.FOUND: pb.ERASURE_OUTCOME_FOUND,
    ErasureOutcome.NOT_SEARCHED: pb.ERASURE_OUTCOME_NOT_SEARCHED,
}


def erasure(record: Erasure) -> pb.Erasure:
    """Convert the record of an erasure."""
    return pb.Erasure(
        erasure_id=record.erasure_id,
        gallery_id=record.gallery_id,
        subject_hash=record.subject_hash,
        cause=_CAUSES[record.cause],
        subjects=record.subjects,
        templates=record.templates,
        crops=record.crops,
        requests=record.requests,
        erase_time=timestamp(record.erase_time),
        gone_time=None if record.gone_time is None else timestamp(record.gone_time),
        outcome=_OUTCOMES[record.outcome],
        values_searched=record.values_searched,
        values_kept=record.values_kept,
        bytes_searched=record.bytes_searched,
        bytes_present=record.bytes_present,
        other_files=record.other_files,
        key_destroyed=record.key_destroyed,
    )


def made_copy(record: MadeCopy) -> pb.MadeCopy:
    """Convert a copy that was made."""
    return pb.MadeCopy(kind=record.kind, gallery_id=record.gallery_id, time=timestamp(record.time))

"""The people of a labelled set in a gallery of a server: enrolled, searched for, and exported."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet import CENTRAL, Client, FacetError
from facet.client.batches import Enrollment
from facet.evaluation.datasets.protocol import Entry
from facet.terminal import console
from facet.v1 import recognition_service_pb2 as recognition_pb
from gallery.transfer.parquet.reader import ParquetReader
from gallery.transfer.parquet.records import faces_of

Templates = dict[tuple[str, str], NDArray[np.float32]]
"""Embeddings by the ids of subjects and the digests of pictures."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a gallery answered to the probes of a labelled set.

    Attributes:
        rank_1: the share of mated probes whose best candidate is their own subject.
        fnir: the share of mated probes that matched nobody, or somebody else.
        fpir: the share of nonmated probes that matched somebody.
        best: the best candidate of each probe, or an empty text, with its similarity.
    """

    rank_1: float
    fnir: float
    fpir: float
    best: tuple[tuple[str, float], ...]


def enroll(client: Client, gallery_id: str, entries: Sequence[Entry]) -> int:
    """Create a gallery and enrol the central face of each picture; returns how many became templates."""
    client.create_gallery(gallery_id)
    items = [
        (entry, Enrollment(entry.subject, entry.path, display_name=entry.subject, face=CENTRAL)) for entry in entries
    ]
    enrolled = 0
    with console.progress(f"Enrolling into {gallery_id}", len(items)) as bar:
        for _, answer in client.enroll_batch(gallery_id, items, accept_lookalike=True, accept_unlike=True):
            enrolled += not isinstance(answer, FacetError)
            bar.advance(bar.task_ids[0])
    return enrolled


def search(client: Client, gallery_id: str, probes: Sequence[Entry], title: str) -> Answers:
    """Search a gallery for the probes, whose central face is theirs."""
    best: dict[int, tuple[str, float]] = {}
    matched: dict[int, str] = {}
    items = [(number, entry.path) for number, entry in enumerate(probes)]
    with console.progress(title, len(items)) as bar:
        for number, answer in client.identify_batch(gallery_id, items, face=CENTRAL):
            bar.advance(bar.task_ids[0])
            if isinstance(answer, FacetError) or not answer.faces:
                continue
            face = answer.faces[0]
            for candidate in face.identification.candidates[:1]:
                best[number] = candidate.subject_id, candidate.similarity
            if face.identification.decision == recognition_pb.DECISION_MATCH:
                matched[number] = best[number][0]
    mated = [number for number, entry in enumerate(probes) if entry.role == "mated"]
    nonmated = [number for number, entry in enumerate(probes) if entry.role == "nonmated"]
    return Answers(
        rank_1=_share(best.get(number, ("", 0.0))[0] == probes[number].subject for number in mated),
        fnir=_share(matched.get(number) != probes[number].subject for number in mated),
        fpir=_share(number in matched for number in nonmated),
        best=tuple(best.get(number, ("", 0.0)) for number in range(len(probes))),
    )


def exported(client: Client, gallery_id: str) -> Templates:
    """Export a gallery, and return its embeddings."""
    file = io.BytesIO(b"".join(client.export_gallery(gallery_id)))
    found: Templates = {}
    for lines in ParquetReader(file).read():
        for face in faces_of(lines, gallery_id, ""):
            if face.template is not None and face.embedding is not None:
                found[face.subject.subject_id, face.template.picture_sha256] = face.embedding
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """How two galleries of the same pictures differ.

    Attributes:
        templates: how many both have.
        only_one: how many only one of them has.
        different: how many of those that both have differ in a bit.
        largest: the largest difference of a value of an embedding.
    """

    templates: int
    only_one: int
    different: int
    largest: float


def difference(one: Templates, other: Templates) -> Difference:
    """Compare two galleries template by template."""
    both = one.keys() & other.keys()
    apart = [float(np.abs(one[key] - other[key]).max()) for key in both]
    return Difference(
        len(both), len(one.keys() ^ other.keys()), sum(each > 0 for each in apart), max(apart, default=0.0)
    )


def _share(hits: Iterable[bool]) -> float:
    counted = np.fromiter(hits, np.bool_)
    return round(float(counted.mean()), 6) if counted.size else 0.0

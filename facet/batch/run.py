"""Identify pictures through one stream, and through another one if it breaks, until every picture has a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from facet import Client, FacetError
from facet.batch.output import Output
from facet.batch.rows import Row, answered, failed
from facet.batch.sources import PendingPictures
from facet.client.batches import Answer
from facet.client.errors import StatusCode
from facet.client.retry import FINAL, GALLERY_UNUSABLE, Retry
from facet.terminal.interruption import Interruption
from facet.terminal.visible import printable
from facet.v1.types_pb2 import FaceChoice, Search

_TRANSIENT = frozenset({StatusCode.ABORTED, StatusCode.DEADLINE_EXCEEDED, StatusCode.UNAVAILABLE})
"""Status codes of a picture that may succeed another time; so may any error with a time to retry."""


@dataclass(frozen=True, slots=True)
class BatchJob:
    """What to ask, and where to write the answers.

    Attributes:
        gallery: the gallery to search.
        face: which face of each picture to identify; ``None`` for all.
        top_k: the number of candidates per face.
        threshold: the similarity threshold; ``None`` for the gallery's.
        distinct_subjects: whether nobody is named twice in a picture.
        search: how thoroughly faces are looked for.
        query: the same settings as they are written into every row.
        output: where the rows go.
        wait_seconds: how long to retry while no server answers.
    """

    gallery: str
    face: FaceChoice | None
    top_k: int
    threshold: float | None
    distinct_subjects: bool
    search: Search.ValueType
    query: Row
    output: Output
    wait_seconds: float


def run(
    client: Client,
    job: BatchJob,
    pending: PendingPictures,
    interruption: Interruption,
    *,
    on_row: Callable[[Row], None],
    on_retry: Callable[[FacetError], None],
) -> None:
    """Identify all pending pictures.

    Args:
        client: a client of the server.
        job: what to ask, and where to write the answers.
        pending: the pictures.
        interruption: the signals that end the run between two rows.
        on_row: called with each row after it was written.
        on_retry: called with the error when the stream breaks, once until the next row.

    Raises:
        FacetError: the server refuses all pictures, or did not come back.
        KeyboardInterrupt: the run was told to end.
        OSError: the output cannot be written.
    """
    retry = Retry(job.wait_seconds)
    while True:
        answers = client.identify_batch(
            job.gallery,
            pending.take(),
            face=job.face,
            top_k=job.top_k,
            threshold=job.threshold,
            distinct_subjects=job.distinct_subjects,
            search=job.search,
        )
        try:
            while (each := _next(answers, interruption)) is not None:
                path, answer = each
                row = _row(printable(path), answer, job.query)
                job.output.add(row)
                pending.done(path)
                on_row(row)
                retry.succeeded()
        except FacetError as error:
            is_first = not retry.failing
            if error.code in FINAL or (pause := retry.failed(error.retry_after)) is None:
                raise
            if is_first:
                on_retry(error)
        else:
            return
        finally:
            answers.close()
        with interruption.waiting():
            time.sleep(pause)


def _next(answers: Iterator[tuple[str, Answer]], interruption: Interruption) -> tuple[str, Answer] | None:
    with interruption.waiting():
        return next(answers, None)


def _row(name: str, answer: Answer, query: Row) -> Row:
    """Make the row of an answer; an error that says nothing about the picture is raised."""
    if not isinstance(answer, FacetError):
        return answered(name, query, answer)
    if answer.code in _TRANSIENT or answer.retry_after is not None or answer.reason in GALLERY_UNUSABLE:
        raise answer
    return failed(name, query, answer)

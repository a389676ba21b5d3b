"""The run of a batch: through one stream, and through another where it breaks, until every picture has its row."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from facet import Client, FacetError
from facet.batch.output import Output
from facet.batch.rows import Row, Tally, answered, failed, printable
from facet.batch.sources import Remaining
from facet.client.batches import Answer
from facet.client.errors import StatusCode
from facet.client.retry import FINAL, GALLERY_UNUSABLE, Retry
from facet.terminal import console
from facet.terminal.interruption import Interruption

_PASSING = frozenset({StatusCode.ABORTED, StatusCode.DEADLINE_EXCEEDED, StatusCode.UNAVAILABLE})
"""What a picture fails with where another time it may not; so does what comes with when to try again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a run asks for, and where its answers go.

    Attributes:
        gallery: the gallery to search.
        fields: further ones of IdentifyRequest.
        query: the same for the rows.
        output: where the rows go.
        wait_seconds: how long to try where no server answers.
    """

    gallery: str
    fields: dict[str, Any]
    query: Row
    output: Output
    wait_seconds: float


def run(
    client: Client, batch: Batch, remaining: Remaining, tally: Tally, advance: Callable[[], None], told: Interruption
) -> None:
    """Answer all that remains.

    Args:
        client: of the server.
        batch: what is asked for.
        remaining: the pictures.
        tally: counts the rows in.
        advance: called after each.
        told: whether to end.

    Raises:
        FacetError: the server refuses them all, or did not come back.
        KeyboardInterrupt: the script was told to end.
        OSError: the output cannot be written.
    """
    retry = Retry(batch.wait_seconds)
    while True:
        answers = client.identify_batch(batch.gallery, remaining.again(), **batch.fields)
        try:
            while (each := _next(answers, told)) is not None:
                path, answer = each
                row = _row(printable(path), answer, batch.query)
                batch.output.add(row)
                remaining.answered(path)
                tally.count(row)
                advance()
                retry.succeeded()
        except FacetError as error:
            if not retry.failing:
                console.err.print(f"{error.message or error.code.name}: trying again", soft_wrap=True)
            if error.code in FINAL or (pause := retry.failed(error.retry_after)) is None:
                raise
        else:
            return
        finally:
            answers.close()
        with told.waiting():
            time.sleep(pause)


def _next(answers: Iterator[tuple[str, Answer]], told: Interruption) -> tuple[str, Answer] | None:
    with told.waiting():
        return next(answers, None)


def _row(name: str, answer: Answer, query: Row) -> Row:
    """The row of an answer; raises the answer where it says nothing of the picture."""
    if not isinstance(answer, FacetError):
        return answered(name, query, answer)
    if answer.code in _PASSING or answer.retry_after is not None or answer.reason in GALLERY_UNUSABLE:
        raise answer
    return failed(name, query, answer)

"""Requests with pictures: their work, and the faces that they are about."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import grpc

from facet.server.access import share
from facet.server.observability import telemetry
from facet.server.scheduling.work import Priority, Work
from facet.server.wire.errors import field_at_fault
from recognizer import choice
from recognizer.analysis import AlignedFace, Analysis
from recognizer.faces import Faces
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns
from recognizer.sources import Source

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Choice = Callable[[Faces, tuple[int, ...]], int]
Choices = Callable[[Faces, tuple[int, ...]], Sequence[int]]


def begin(
    context: Context,
    kind: str,
    priority: Priority = Priority.LIVE,
    *,
    pixels: int = 0,
    objects: bool = False,
    thorough: bool = False,
) -> Work:
    """Return the work of a request or of an item of a stream, with the client's deadline.

    Args:
        context: the call.
        kind: the method.
        priority: its urgency.
        pixels: pixels of its pictures, as far as they are known.
        objects: whether its answer contains objects.
        thorough: whether its search for faces is thorough.
    """
    remaining = context.time_remaining()
    return Work(
        telemetry.stopwatch(),
        deadline=None if remaining is None else time.monotonic() + remaining,
        kind=kind + " with objects" * objects + " thorough" * thorough,
        priority=priority,
        caller=share.current(),
        pixels=pixels,
    )


def analyze_and_align(
    pipeline: FacePipeline,
    source: Source,
    choose: Choice | Choices | None,
    work: Work,
    field: str,
    *,
    face_min_score: float | None = None,
    objects_wanted: bool = False,
    thorough: bool = False,
) -> Turns[tuple[Analysis, list[AlignedFace]]]:
    """Find the faces of a picture and align all or the chosen ones; errors name the request's ``field``.

    Yields while a large picture is decoded, and between tiles of a thorough search.
    """
    with field_at_fault(field):
        return (
            yield from pipeline.analyze_and_align_in_turns(
                source,
                choose,
                work,
                face_min_score=face_min_score,
                objects_wanted=objects_wanted,
                thorough=thorough,
            )
        )


def only_face(faces: Faces, _shape: tuple[int, ...]) -> int:
    """Return the index of the only face: the rule for requests that choose none."""
    return choice.only(faces)

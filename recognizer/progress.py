"""Lets a caller time the stages of a pipeline, and stop or interrupt it between them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Literal, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

Stage = Literal["decode", "detect", "faces", "align", "embed"]
Turns: TypeAlias = Generator[None, None, T]
"""Work that yields where it can be interrupted; any thread may continue it."""


class Progress(Protocol):
    """Follows one picture through :class:`recognizer.pipeline.FacePipeline`."""

    def stage(self, name: Stage, *, batch: int = 0) -> AbstractContextManager[None]:
        """Enter a stage; the context lasts as long as the stage.

        Args:
            name: the stage.
            batch: number of inputs the model gets at once; 0 if the stage does not count them.
        """

    def check(self) -> None:
        """Raise any exception to stop here; called between stages."""


class NoProgress:
    """Times nothing and never stops."""

    @contextmanager
    def stage(self, name: Stage, *, batch: int = 0) -> Iterator[None]:  # noqa: ARG002 - the protocol's signature
        """Do nothing; see :meth:`Progress.stage`."""
        yield

    def check(self) -> None:
        """Do nothing; see :meth:`Progress.check`."""


NO_PROGRESS = NoProgress()


def in_stage(turns: Turns[T], progress: Progress, name: Stage) -> Turns[T]:
    """The same work; the progress times its turns as one stage, and may stop it between them."""
    with closing(turns):
        while True:
            with progress.stage(name):
                try:
                    next(turns)
                except StopIteration as end:
                    result: T = end.value
                    return result
            progress.check()
            yield


def finish(turns: Turns[T]) -> T:
    """Do all of the work without interruption, and return its result."""
    while True:
        try:
            next(turns)
        except StopIteration as end:
            result: T = end.value
            return result

"""Where a migration stands, and why templates miss an embedding."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class GapReason(Enum):
    """Why a template has no embedding of one of the two models."""

    WAITING = "waiting"
    """Its crop waits for the server."""
    NO_CROP = "no crop"
    """No crop was kept."""
    CROP_DAMAGED = "crop damaged"
    """The crop cannot be read, or is no aligned face."""
    NOT_EMBEDDED = "not embedded"
    """The model does not turn the crop into an embedding."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a migration stands.

    Attributes:
        done: templates with an embedding of both models.
        waiting: templates without one of them that the server is about to make.
        missing: templates without one of them that cannot be made from a crop.
        per_second: embeddings made, per second of the last minute.
        problem: why the server cannot go on; empty if nothing is wrong.
    """

    done: int
    waiting: int
    missing: int
    per_second: float = 0.0
    problem: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether all embeddings are made that can be made."""
        return not self.waiting

"""The settings of what clients say about answers."""

from __future__ import annotations

from pydantic import Field

from facet.server.config.sections.section import Section


class OutcomesConfig(Section):
    """What clients say afterwards about answers: whether they were right. See docs/evaluation.md."""

    days: int = Field(30, ge=0, le=365)
    """How many days an answer can be reported as right or wrong. Its id contains it, sealed; nothing is stored before
    it is reported. 0 gives answers no ids."""
    review_share: float = Field(0.0, ge=0, le=1)
    """Share of answers that are marked with review_requested, [0, 1]. If somebody checks all of these, they tell the
    precision and recall of production without the bias of what people report by themselves."""
    max_per_gallery: int = Field(100_000, ge=1, le=10_000_000)
    """Maximum number of outcomes that a gallery keeps. Of more, those of the caller who reported the most
    are deleted first, and those that were marked for review last."""

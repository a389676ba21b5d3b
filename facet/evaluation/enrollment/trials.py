"""Enrolments that could have happened: a right or a wrong picture, after some right ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.protocol import Entry
from facet.evaluation.intervals import Identities, none, share
from facet.evaluation.report.document import Report

TEMPLATES = (1, 2, 3, 5)
"""Numbers of templates that a subject has before the enrolment."""
NEEDED = 2
"""The fewest pictures of a person who takes part."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A picture after some templates of a subject.

    Attributes:
        subject: whose templates they are.
        picture: index of the picture.
        template: index of the template that is most similar to it.
        similarity: of the two, [-1, 1].
        is_right: whether the picture shows the subject.
    """

    subject: str
    picture: int
    template: int
    similarity: float
    is_right: bool


def make_trials(entries: Sequence[Entry], embeddings: NDArray[np.float32], *, templates: int, seed: int) -> list[Trial]:
    """Make two trials for every picture of a subject that has enough of them.

    The templates are drawn from the subject's other pictures. The wrong picture is drawn from all other subjects.

    Args:
        entries: subjects and pictures.
        embeddings: of the pictures, float32 ``(n, d)``, unit length.
        templates: the number of templates.
        seed: seed of the drawing.
    """
    rng = np.random.default_rng((seed, templates))
    subjects = np.array([entry.subject for entry in entries])
    trials = []
    for subject in dict.fromkeys(subjects.tolist()):
        own, others = np.flatnonzero(subjects == subject), np.flatnonzero(subjects != subject)
        if own.size <= templates or not others.size:
            continue
        for right in own.tolist():
            enrolled = rng.choice(own[own != right], templates, replace=False)
            for picture in (right, int(rng.choice(others))):
                similarities = embeddings[enrolled] @ embeddings[picture]
                best = int(similarities.argmax())
                trials.append(Trial(subject, picture, int(enrolled[best]), float(similarities[best]), picture == right))
    return trials


def figures(
    entries: Sequence[Entry], embeddings: NDArray[np.float32], *, minimum: float, seed: int
) -> tuple[Report, list[Trial]]:
    """Compute the shares of right and wrong pictures that look unlike all templates.

    Args:
        entries: subjects and pictures.
        embeddings: of the pictures, float32 ``(n, d)``, unit length.
        minimum: a picture looks unlike a template below this similarity, [-1, 1].
        seed: seed of the drawing and of the resampling.

    Returns:
        The figures by name, and the right pictures that look unlike two templates, the least similar first.
    """
    people = Identities([entry.subject for entry in entries] or [""], seed=seed)
    found: Report = {}
    mistakes: list[Trial] = []
    for templates in TEMPLATES:
        trials = make_trials(entries, embeddings, templates=templates, seed=seed)
        for name, is_right in (("right", True), ("wrong", False)):
            some = [each for each in trials if each.is_right == is_right]
            unlike = np.array([each.similarity < minimum for each in some], np.bool_)
            found[f"{name}_unlike_{templates}"] = (
                share(unlike, [each.subject for each in some], people) if some else none("nobody has enough pictures")
            )
        found[f"trials_{templates}"] = len(trials) // 2
        if templates == NEEDED:
            mistakes = sorted(
                (each for each in trials if each.is_right and each.similarity < minimum),
                key=lambda each: each.similarity,
            )
    return found, mistakes

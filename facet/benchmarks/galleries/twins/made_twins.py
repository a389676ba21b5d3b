"""People of a labelled set, made as similar as twins, and who is taken for whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.records.thresholds import DEFAULT_THRESHOLD

MIN_PICTURES = 4
_PAIRS = 300
_DRAWS = 4

Faces = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often the wrong one of two people is the match.

    Attributes:
        cosine: between the means of the two people's faces; 0 for the most similar people of the set as they are.
        templates: of each of them.
        searches: whose better similarity reaches the default threshold.
        wrong: the share of searches that the wrong one wins.
        wrong_beyond: the share of matches that are wrong, of those with at least the margin.
        kept: the share of searches that have at least the margin.
    """

    cosine: float
    templates: int
    searches: int
    wrong: float
    wrong_beyond: float
    kept: float


def confusion(
    people: list[Faces], *, cosine: float, templates: int, margin: float, chance: np.random.Generator
) -> Confusion:
    """Enrol pairs of people, and search for their other faces.

    Args:
        people: the faces of each person, shape ``(n, dimension)``, at least :data:`MIN_PICTURES`, unit length.
        cosine: the faces of one of the two are shifted so that the means have this cosine; 0 to take the most similar
            pairs as they are.
        templates: enrolled of each, fewer than :data:`MIN_PICTURES`.
        margin: the least difference of the two similarities.
        chance: draws pairs and faces.
    """
    means = np.stack([faces.mean(axis=0) for faces in people])
    leads = [
        _leads(own, other, templates, chance)
        for one, another in _pairs(means, cosine, chance)
        for own, other in (_shifted(people[one], people[another], cosine),)
        for _ in range(_DRAWS)
    ]
    found = np.concatenate(leads) if leads else np.empty(0, np.float32)
    beyond = found[np.abs(found) >= margin]
    return Confusion(
        cosine,
        templates,
        found.size,
        round(float((found < 0).mean()), 4) if found.size else 0.0,
        round(float((beyond < 0).mean()), 4) if beyond.size else 0.0,
        round(beyond.size / max(1, found.size), 4),
    )


def _pairs(means: Faces, cosine: float, chance: np.random.Generator) -> list[tuple[int, int]]:
    if cosine:
        drawn = chance.integers(0, len(means), (_PAIRS, 2))
        return [(int(one), int(other)) for one, other in drawn if one != other]
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    similarities = np.triu(unit @ unit.T, 1)
    best = np.argsort(similarities, axis=None)[::-1][:_PAIRS]
    ones, others = np.unravel_index(best, similarities.shape)
    return list(zip(ones.tolist(), others.tolist(), strict=True))


def _shifted(own: Faces, other: Faces, cosine: float) -> tuple[Faces, Faces]:
    """Shift the other one's faces so that the two means have a cosine."""
    if not cosine:
        return own, other
    mean, length = own.mean(axis=0), np.linalg.norm(other.mean(axis=0))
    mean = mean / np.linalg.norm(mean)
    before = other.mean(axis=0) / length
    across = before - (before @ mean) * mean
    after = cosine * mean + np.sqrt(1 - cosine**2) * across / np.linalg.norm(across)
    moved = other + length * (after - before)
    return own, np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)


def _leads(own: Faces, other: Faces, templates: int, chance: np.random.Generator) -> NDArray[np.float32]:
    """Search for the faces of both that are not enrolled; return by how much the right one leads."""
    own, other = chance.permutation(own), chance.permutation(other)
    leads = []
    for right, wrong in ((own, other), (other, own)):
        probes = right[templates:]
        with_right = (probes @ right[:templates].T).max(axis=1)
        with_wrong = (probes @ wrong[:templates].T).max(axis=1)
        is_match = np.maximum(with_right, with_wrong) >= DEFAULT_THRESHOLD
        leads.append((with_right - with_wrong)[is_match])
    return np.concatenate(leads)

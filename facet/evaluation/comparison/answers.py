"""What a model answers on a labelled set, from the embeddings of its pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.comparison.labelled_set import PairsOfFiles, Role
from facet.evaluation.datasets.protocol import Protocol
from facet.evaluation.identification.figures import NO_CANDIDATE, Outcomes
from facet.evaluation.verification.figures import NO_FACE

Embeddings = Mapping[Role, NDArray[np.float32]]
"""The unit vectors ``(dimension,)`` of pictures in their roles; without those that show no face."""

_AT_ONCE = 4_000_000
"""Similarities that are computed at once."""


def outcomes(protocol: Protocol, embeddings: Embeddings) -> Outcomes:
    """Search for every probe among all enrolled pictures; a subject is as similar as its most similar picture.

    A probe without a face has no candidates. Ties break on the subject's name, as in a gallery. No threshold decides.
    """
    enrolled = [(each.subject, embeddings.get(Role(each.path, as_template=True))) for each in protocol.gallery]
    templates = sorted(((name, found) for name, found in enrolled if found is not None), key=lambda each: each[0])
    probes = [embeddings.get(Role(each.path, as_template=False)) for each in protocol.probes]
    searched = np.flatnonzero([found is not None for found in probes])
    similarity = np.full(len(probes), NO_CANDIDATE, np.float32)
    rank = np.zeros(len(probes), np.intp)
    if templates and len(searched):
        names = np.array([name for name, _ in templates])
        subjects, starts = np.unique(names, return_index=True)
        matrix = np.stack([found for _, found in templates])
        mates = np.array(
            [_place(subjects, each.subject) if each.role == "mated" else -1 for each in protocol.probes], np.intp
        )
        step = max(1, _AT_ONCE // len(templates))
        for rows in np.split(searched, range(step, len(searched), step)):
            found = np.stack([vector for row in rows.tolist() if (vector := probes[row]) is not None])
            by_subject = np.maximum.reduceat(found @ matrix.T, starts, axis=1)
            similarity[rows] = by_subject.max(axis=1)
            rank[rows] = _ranks(by_subject, mates[rows])
    return Outcomes(
        subjects=tuple(each.subject for each in protocol.probes),
        mated=np.array([each.role == "mated" for each in protocol.probes], np.bool_),
        similarity=similarity,
        rank=rank,
        matched=np.zeros(len(probes), np.bool_),
    )


def similarities(found: PairsOfFiles, embeddings: Embeddings) -> NDArray[np.float32]:
    """The similarity of each pair; :data:`NO_FACE` if one of its pictures has no embedding."""
    pairs, files = found.pairs, found.files
    similarity = np.full(len(pairs), NO_FACE, np.float32)
    for pair, (a, b) in enumerate(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)):
        reference = embeddings.get(Role(files[a], as_template=True))
        probe = embeddings.get(Role(files[b], as_template=False))
        if reference is not None and probe is not None:
            similarity[pair] = np.clip(reference @ probe, -1, 1)
    return similarity


def _place(names: NDArray[np.str_], name: str) -> int:
    """The place of a name among sorted names; -1 if it is not among them."""
    place = int(np.searchsorted(names, name))
    return place if place < len(names) and names[place] == name else -1


def _ranks(similarity: NDArray[np.float32], mates: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rank of each row's mate, from 1; 0 without a mate."""
    own = np.take_along_axis(similarity, np.maximum(mates, 0)[:, None], axis=1)
    earlier = np.arange(similarity.shape[1]) < mates[:, None]
    before = (similarity > own) | ((similarity == own) & earlier)
    return np.where(mates < 0, 0, 1 + before.sum(axis=1))

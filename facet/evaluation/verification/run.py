"""Verification through the service: every picture embedded once per role, all pairs compared, some with Verify."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet import CENTRAL, AsyncClient, FacetError, picture
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import ITEM_ERRORS, Stopped, call_all, reason_of
from facet.evaluation.datasets.pairs import Pairs
from facet.evaluation.rotation import rotated
from facet.evaluation.verification.figures import NO_FACE

FACE_NOT_FOUND = "FACE_NOT_FOUND"
CHECKED = 50
"""Number of pairs that are also sent to Verify."""
TOLERANCE = 1e-4
"""Allowed difference between Verify's similarity and the one computed here: embeddings may be batched differently."""

_CHUNK = 100_000
"""Number of pairs compared at once."""


@dataclass(frozen=True, slots=True)
class VerificationRun:
    """The answers of the service.

    Attributes:
        similarity: similarity of each pair, float32 ``(n,)``; :data:`NO_FACE` if a picture shows no face or was
            refused.
        reached: whether both pictures of the pair were answered, bool ``(n,)``; all unless the run stopped.
        failures: reasons by the pictures that were not embedded.
        checked: number of pairs also sent to Verify.
        max_difference: largest difference from Verify's similarity; 2 if only one of both found the faces.
        stopped: where the server went away; ``None`` if it did not.
    """

    similarity: NDArray[np.float32]
    reached: NDArray[np.bool_]
    failures: dict[str, str]
    checked: int
    max_difference: float
    stopped: Stopped | None


@dataclass(frozen=True, slots=True)
class _RolePicture:
    """A picture in one of its roles: template (the reference) or probe."""

    image: int
    as_template: bool


def step_count(pairs: Pairs) -> int:
    """Number of steps of a run."""
    return len(_role_pictures(pairs)) + len(_checked_pairs(pairs))


async def run_verification(
    client: AsyncClient, pairs: Pairs, images: Path, *, rotate: int = 0, advance: Callable[[], None]
) -> VerificationRun:
    """Embed the central face of every picture as Verify does, and compare all pairs.

    Verify embeds its reference together with the mirror image, as enrolment does, and its probe without. Each picture
    is embedded once for each of its roles, so a million pairs of a thousand pictures cost at most two thousand calls.

    Args:
        client: the connection.
        pairs: the pairs; the first picture of each is the reference.
        images: folder of the pictures.
        rotate: turn every picture clockwise by so many degrees before it is sent.
        advance: called once per step, see :func:`step_count`.

    Raises:
        FacetError: the server went away before it answered anything.
    """

    async def embed(wanted: _RolePicture) -> NDArray[np.float32] | str:
        try:
            source = await asyncio.to_thread(rotated, images / pairs.images[wanted.image], rotate)
            answer = await retry_while_busy_async(
                lambda: client.analyze_faces(
                    source, face=CENTRAL, include_embeddings=True, embed_as_templates=wanted.as_template
                )
            )
        except ITEM_ERRORS as error:
            return reason_of(error)
        finally:
            advance()
        return np.array(answer.faces[0].embedding.values, np.float32)

    pictures = _role_pictures(pairs)
    answers = await call_all(pictures, embed, name=lambda wanted: pairs.images[wanted.image])
    embeddings: dict[_RolePicture, NDArray[np.float32]] = {}
    failures: dict[str, str] = {}
    for index, answer in answers.by_item.items():
        if isinstance(answer, str):
            failures[pairs.images[pictures[index].image]] = answer
        else:
            embeddings[pictures[index]] = answer
    reached = _reached(pairs, [pictures[index] for index in answers.by_item])
    similarity = _compare(pairs, embeddings)
    if answers.stopped:
        stopped = replace(answers.stopped, of=step_count(pairs))
        return VerificationRun(similarity, reached, failures, 0, 0.0, stopped)
    checked, max_difference, stopped_checking = await _check(client, pairs, images, rotate, similarity, advance)
    return VerificationRun(similarity, reached, failures, checked, max_difference, stopped_checking)


def _role_pictures(pairs: Pairs) -> list[_RolePicture]:
    """Every picture in each of its roles, in the order of first use."""
    roles = [
        (_RolePicture(a, as_template=True), _RolePicture(b, as_template=False))
        for a, b in zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)
    ]
    return list(dict.fromkeys(each for both in roles for each in both))


def _checked_pairs(pairs: Pairs) -> list[int]:
    """The pairs that are also sent to Verify, evenly spread."""
    count = min(CHECKED, len(pairs))
    return [number * len(pairs) // count for number in range(count)]


def _reached(pairs: Pairs, answered: list[_RolePicture]) -> NDArray[np.bool_]:
    as_template, as_probe = (np.zeros(len(pairs.images), np.bool_) for _ in range(2))
    for each in answered:
        (as_template if each.as_template else as_probe)[each.image] = True
    return as_template[pairs.a] & as_probe[pairs.b]


def _compare(pairs: Pairs, embeddings: dict[_RolePicture, NDArray[np.float32]]) -> NDArray[np.float32]:
    """The cosine similarity of each pair."""
    similarity = np.full(len(pairs), NO_FACE, np.float32)
    if not embeddings:
        return similarity
    dimension = len(next(iter(embeddings.values())))
    templates, probes = (np.zeros((len(pairs.images), dimension), np.float32) for _ in range(2))
    has_template, has_probe = (np.zeros(len(pairs.images), np.bool_) for _ in range(2))
    for each, embedding in embeddings.items():
        (templates if each.as_template else probes)[each.image] = embedding
        (has_template if each.as_template else has_probe)[each.image] = True
    comparable = np.flatnonzero(has_template[pairs.a] & has_probe[pairs.b])
    for start in range(0, len(comparable), _CHUNK):
        chunk = comparable[start : start + _CHUNK]
        cosines = np.einsum("ij,ij->i", templates[pairs.a[chunk]], probes[pairs.b[chunk]], dtype=np.float64)
        similarity[chunk] = np.clip(cosines, -1, 1)
    return similarity


async def _check(
    client: AsyncClient,
    pairs: Pairs,
    images: Path,
    rotate: int,
    similarity: NDArray[np.float32],
    advance: Callable[[], None],
) -> tuple[int, float, Stopped | None]:
    """Send some pairs to Verify. Returns the number sent, the largest difference, and where the server went away."""
    checked, max_difference = 0, 0.0
    for done, pair in enumerate(_checked_pairs(pairs), len(_role_pictures(pairs))):
        try:
            verified = await _verify(client, pairs, images, rotate, pair)
        except OSError:  # the picture has disappeared since it was embedded: skip the check
            advance()
            continue
        except FacetError as error:
            item = f"Verify of {pairs.images[pairs.a[pair]]}"
            return checked, max_difference, Stopped(item, done, step_count(pairs), reason_of(error))
        checked += 1
        max_difference = max(max_difference, _difference(verified, float(similarity[pair])))
        advance()
    return checked, max_difference, None


async def _verify(client: AsyncClient, pairs: Pairs, images: Path, rotate: int, pair: int) -> float | None:
    """The similarity from Verify; ``None`` if it refuses the pair.

    Raises:
        FacetError: the server went away.
        OSError: a picture can no longer be read.
    """
    reference, probe = (picture(rotated(images / pairs.images[side[pair]], rotate)) for side in (pairs.a, pairs.b))
    try:
        answer = await retry_while_busy_async(
            lambda: client.verify(reference, probe, reference_face=CENTRAL, probe_face=CENTRAL)
        )
    except ITEM_ERRORS:
        return None
    return answer.similarity


def _difference(verified: float | None, compared: float) -> float:
    if verified is None:
        return 0.0 if compared == NO_FACE else 2.0
    return 2.0 if compared == NO_FACE else abs(verified - compared)

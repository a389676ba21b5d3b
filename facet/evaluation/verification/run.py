"""Verification through the service: every picture embedded once a role, every pair compared, some through Verify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet import CENTRAL, AsyncClient, FacetError, picture
from facet.client.requests import verify_request
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import ITEM_ERRORS, Stopped, call_all, reason_of
from facet.evaluation.datasets.pairs import Pairs
from facet.evaluation.verification.figures import NO_FACE
from facet.v1.recognition_service_pb2 import AnalyzeFacesRequest

FACE_NOT_FOUND = "FACE_NOT_FOUND"
CHECKED = 50
"""Pairs that also go through Verify."""
TOLERANCE = 1e-4
"""By which Verify may answer another similarity: what runs the models may batch them otherwise."""

_AT_ONCE = 100_000
"""Pairs that are compared in one piece."""


@dataclass(frozen=True, slots=True)
class VerificationRun:
    """What the service answered.

    Attributes:
        similarity: of each pair, float32 ``(n,)``; :data:`NO_FACE` where a picture shows no face or was refused.
        judged: which pairs were reached, bool ``(n,)``; all of them, unless the run stopped.
        failures: why pictures were not embedded, by their name.
        checked: how many pairs went through Verify too.
        difference: the most that Verify differed by; 2 where only one of both found the faces.
        stopped: where the server went away; ``None`` where it did not.
    """

    similarity: NDArray[np.float32]
    judged: NDArray[np.bool_]
    failures: dict[str, str]
    checked: int
    difference: float
    stopped: Stopped | None


@dataclass(frozen=True, slots=True)
class _Look:
    """A picture in one of its roles."""

    image: int
    as_template: bool


def looks(pairs: Pairs) -> int:
    """How many steps a run has."""
    return len(_looks(pairs)) + len(_checks(pairs))


async def run_verification(
    client: AsyncClient, pairs: Pairs, images: Path, *, advance: Callable[[], None]
) -> VerificationRun:
    """Embed the central face of every picture, as Verify does, and compare.

    Verify embeds its reference together with the mirror image, as enrolment does, and its probe without. A picture
    that occurs as both is embedded as both; so a million pairs of a thousand pictures cost two thousand calls.

    Args:
        client: the connection.
        pairs: what to compare; the first picture of each is the reference.
        images: the folder of the pictures.
        advance: called once for each of the steps of :func:`looks`.

    Raises:
        FacetError: the server went away before it answered anything.
    """

    async def embed(look: _Look) -> NDArray[np.float32] | str:
        try:
            request = AnalyzeFacesRequest(
                picture=picture(images / pairs.images[look.image]),
                face=CENTRAL,
                include_embeddings=True,
                embed_as_templates=look.as_template,
            )
            answer = await retry_while_busy_async(lambda: client.recognition.AnalyzeFaces(request))
        except ITEM_ERRORS as error:
            return reason_of(error)
        finally:
            advance()
        return np.array(answer.faces[0].embedding.values, np.float32)

    wanted = _looks(pairs)
    found = await call_all(wanted, embed, name=lambda look: pairs.images[look.image])
    embedded: dict[_Look, NDArray[np.float32]] = {}
    failures: dict[str, str] = {}
    for position, answer in found.by_item.items():
        if isinstance(answer, str):
            failures[pairs.images[wanted[position].image]] = answer
        else:
            embedded[wanted[position]] = answer
    judged = _reached(pairs, [wanted[position] for position in found.by_item])
    similarity = _compare(pairs, embedded)
    if found.stopped:
        return VerificationRun(similarity, judged, failures, 0, 0.0, replace(found.stopped, of=looks(pairs)))
    checked, difference, stopped = 0, 0.0, None
    for done, pair in enumerate(_checks(pairs), len(wanted)):
        try:
            answered = await _verify(client, pairs, images, pair)
        except OSError:  # gone since it was embedded: the pair is compared, and not checked
            advance()
            continue
        except FacetError as error:
            at = f"Verify of {pairs.images[pairs.a[pair]]}"
            stopped = Stopped(at, done, looks(pairs), reason_of(error))
            break
        checked += 1
        difference = max(difference, _difference(answered, float(similarity[pair])))
        advance()
    return VerificationRun(similarity, judged, failures, checked, difference, stopped)


def _looks(pairs: Pairs) -> list[_Look]:
    """Every picture in every role it has, in the order of the first use."""
    both = [(_Look(a, True), _Look(b, False)) for a, b in zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)]
    return list(dict.fromkeys(look for pair in both for look in pair))


def _checks(pairs: Pairs) -> list[int]:
    """The pairs that also go through Verify, evenly spread."""
    count = min(CHECKED, len(pairs))
    return [place * len(pairs) // count for place in range(count)]


def _reached(pairs: Pairs, answered: list[_Look]) -> NDArray[np.bool_]:
    as_template, as_probe = (np.zeros(len(pairs.images), np.bool_) for _ in range(2))
    for look in answered:
        (as_template if look.as_template else as_probe)[look.image] = True
    return as_template[pairs.a] & as_probe[pairs.b]


def _compare(pairs: Pairs, embedded: dict[_Look, NDArray[np.float32]]) -> NDArray[np.float32]:
    """The cosine of each pair."""
    similarity = np.full(len(pairs), NO_FACE, np.float32)
    if not embedded:
        return similarity
    dimension = len(next(iter(embedded.values())))
    templates, probes = (np.zeros((len(pairs.images), dimension), np.float32) for _ in range(2))
    has_template, has_probe = (np.zeros(len(pairs.images), np.bool_) for _ in range(2))
    for look, embedding in embedded.items():
        (templates if look.as_template else probes)[look.image] = embedding
        (has_template if look.as_template else has_probe)[look.image] = True
    comparable = np.flatnonzero(has_template[pairs.a] & has_probe[pairs.b])
    for start in range(0, len(comparable), _AT_ONCE):
        part = comparable[start : start + _AT_ONCE]
        cosines = np.einsum("ij,ij->i", templates[pairs.a[part]], probes[pairs.b[part]], dtype=np.float64)
        similarity[part] = np.clip(cosines, -1, 1)
    return similarity


async def _verify(client: AsyncClient, pairs: Pairs, images: Path, pair: int) -> float | None:
    """The similarity that Verify answers; ``None`` where it refuses.

    Raises:
        FacetError: the server went away.
        OSError: a picture cannot be read any more.
    """
    reference, probe = (images / pairs.images[at[pair]] for at in (pairs.a, pairs.b))
    request = verify_request(reference, probe, reference_face=CENTRAL, probe_face=CENTRAL)
    try:
        answer = await retry_while_busy_async(lambda: client.recognition.Verify(request))
    except ITEM_ERRORS:
        return None
    return answer.similarity


def _difference(answered: float | None, compared: float) -> float:
    if answered is None:
        return 0.0 if compared == NO_FACE else 2.0
    return 2.0 if compared == NO_FACE else abs(answered - compared)

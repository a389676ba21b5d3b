"""What protection adds to calls: the same calls in turns to two servers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from facet import Client
from facet.benchmarks.trust.pairs import Pairs, take_turns
from facet.v1.types_pb2 import Embedding

GALLERY, SUBJECT = "bench", "somebody"
_SEED = 7


def prepare(client: Client, portrait: bytes) -> None:
    """Make the gallery that the calls use, of one subject."""
    client.create_gallery(GALLERY)
    client.enroll(GALLERY, SUBJECT, portrait)


def small_calls(plain: Client, guarded: Client, rounds: int) -> Pairs:
    """GetGallery, which does next to nothing."""
    return take_turns(lambda: plain.get_gallery(GALLERY), lambda: guarded.get_gallery(GALLERY), rounds)


def searches(plain: Client, guarded: Client, rounds: int) -> Pairs:
    """SearchEmbedding in a gallery of one subject."""
    info = plain.get_server_info()
    values = np.random.default_rng(_SEED).standard_normal(info.embedding_dimension)
    probe = Embedding(values=(values / np.linalg.norm(values)).tolist(), contract=info.contract)
    return take_turns(
        lambda: plain.search_embedding(GALLERY, probe), lambda: guarded.search_embedding(GALLERY, probe), rounds
    )


def changes(plain: Client, guarded: Client, rounds: int) -> Pairs:
    """UpdateGallery, the smallest change."""
    return take_turns(
        lambda: plain.update_gallery(GALLERY, display_name="bench"),
        lambda: guarded.update_gallery(GALLERY, display_name="bench"),
        rounds,
    )


def enrolments(plain: Client, guarded: Client, portrait: bytes, rounds: int) -> Pairs:
    """EnrollFace of the same portrait as a new subject each time."""
    return take_turns(_enrolment(plain, portrait), _enrolment(guarded, portrait), rounds)


def _enrolment(client: Client, portrait: bytes) -> Callable[[], object]:
    numbers = itertools.count()
    return lambda: client.enroll(GALLERY, f"subject-{next(numbers)}", portrait, accept_lookalike=True)

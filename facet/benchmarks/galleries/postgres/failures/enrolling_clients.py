"""Clients that enrol and forget people at servers which are killed, and what they know of each person afterwards."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from enum import Enum
from itertools import count

from facet import AlreadyExists, Client, FacetError, NotFound

PER_GALLERY = 100
"""Subjects of a gallery; one search returns all of them."""
_FORGOTTEN = 0.25
_REPEATED = 0.5
_PAUSE_SECONDS = 0.05
_CALL_SECONDS = 15.0


class State(Enum):
    """What a client knows of a person."""

    THERE = "enrolled, and acknowledged"
    GONE = "forgotten, and acknowledged"
    EITHER = "the last call was not answered"


class EnrollingClients:
    """Threads that enrol people under new ids at any server, and forget a quarter of them.

    Half of the enrolments without an answer are repeated, with the same request id.

    Args:
        addresses: of the servers; the caller changes them.
        pictures: of the same face; each enrolment takes one of them.
        clients: number of threads.
        seed: of the choices.

    Attributes:
        states: of each person, by gallery and subject.
        acknowledged: enrolments and deletions that were answered OK.
        unanswered: those that were not.
    """

    def __init__(self, addresses: Sequence[str], pictures: Sequence[bytes], *, clients: int, seed: int) -> None:
        self._addresses = addresses
        self._pictures = pictures
        self._clients = clients
        self._seed = seed
        self._numbers = count()
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._states: dict[tuple[str, str], State] = {}
        self.acknowledged = 0
        self.unanswered = 0

    @property
    def states(self) -> Mapping[tuple[str, str], State]:
        """See the class."""
        return self._states

    @contextmanager
    def enrolling(self) -> Iterator[None]:
        """Enrol during the block.

        Raises:
            FacetError: a call was refused for another reason than a failure of a server or of the database.
        """
        with ThreadPoolExecutor(self._clients) as pool:
            running = [pool.submit(self._run, which) for which in range(self._clients)]
            try:
                yield
            finally:
                self._is_over.set()
            for each in running:
                each.result()

    def _run(self, which: int) -> None:
        rng = random.Random(self._seed + which)  # noqa: S311 - the same choices in every run, not a secret
        while not self._is_over.is_set():
            number = next(self._numbers)
            person = f"gallery-{number // PER_GALLERY}", f"subject-{number}"
            picture = self._pictures[number % len(self._pictures)]
            is_enrolled = self._change(rng, person, State.THERE, lambda client: _enroll(client, *person, picture))  # noqa: B023
            if is_enrolled and rng.random() < _FORGOTTEN:
                self._change(rng, person, State.GONE, lambda client: _forget(client, *person))  # noqa: B023

    def _change(
        self, rng: random.Random, person: tuple[str, str], wanted: State, call: Callable[[Client], None]
    ) -> bool:
        """Make a call at any server until one answers or the client gives up; tell whether one did."""
        self._states[person] = State.EITHER
        while True:
            try:
                with Client(rng.choice(self._addresses), timeout=_CALL_SECONDS) as client:
                    call(client)
            except FacetError:
                with self._lock:
                    self.unanswered += 1
                if self._is_over.wait(_PAUSE_SECONDS) or rng.random() > _REPEATED:
                    return False
            else:
                self._states[person] = wanted
                with self._lock:
                    self.acknowledged += 1
                return True


def _enroll(client: Client, gallery_id: str, subject_id: str, picture: bytes) -> None:
    def enroll() -> None:
        client.enroll(
            gallery_id, subject_id, picture, request_id=subject_id, accept_lookalike=True, accept_low_quality=True
        )

    try:
        enroll()
    except NotFound:
        with suppress(AlreadyExists):
            client.create_gallery(gallery_id)
        enroll()


def _forget(client: Client, gallery_id: str, subject_id: str) -> None:
    with suppress(NotFound):  # an attempt that was not answered has done it
        client.delete_subject(gallery_id, subject_id)

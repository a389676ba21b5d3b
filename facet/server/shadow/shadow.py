"""Searches a share of live identifications with the other model of a migration, after they were answered."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from facet.server.errors import RequestExpired
from facet.server.observability.stopwatch import Stopwatch
from facet.server.scheduling.work import Priority, Work
from facet.server.scheduling.workers import Workers
from facet.server.shadow.comparison import Comparison, Cost, Outcome, kept, names
from facet.server.shadow.tally import Disagreement, ShadowTally
from gallery.errors import SubjectNotFound, SubjectWithoutTemplates
from gallery.galleries import Galleries
from gallery.migration.shadowing import ModelRoles
from gallery.records.identifications import Identification
from recognizer.analysis import AlignedFace
from recognizer.pipeline import FacePipeline

T = TypeVar("T")
Convert = Callable[[ModelRoles, ShadowTally | None, Mapping[str, str]], T]
Searched = Callable[[str, Sequence[AlignedFace], Sequence[Identification]], None]
_Pair = tuple[AlignedFace, Identification]

MAX_WAITING_FACES = 256
"""Faces that wait for the other model; identifications that do not fit are dropped."""
MAX_AGE = 60.0
"""Seconds after which an identification that still waits is dropped."""
_AT_ONCE = 8
"""Faces between which others get the thread."""
_CALLER = "(shadow)"
"""Whose share of the workers comparisons take; no caller has such an id."""
_BUSY, _LATE, _FAILED = "busy", "late", "failed"

_log = structlog.get_logger("facet.shadow")


class Shadow(Collector):
    """Compares the two models of galleries that are being migrated.

    An identification is chosen by chance. Its aligned faces wait until its answer is sent, and are then embedded and
    searched with the other model, one identification at a time, when no request wants the thread. Whatever happens to
    them changes no answer. Of a gallery whose share is 0, nothing is kept and nothing computed.

    What is known of a gallery is in memory only. It is forgotten when the migration ends, and begins anew when the
    models change roles, or a threshold changes. Subjects that leave the gallery are forgotten at once.

    Args:
        pipeline: the models.
        galleries: the galleries.
        keep_crops: whether crops of faces may be kept.
        draw: a random number in [0, 1).
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        galleries: Galleries,
        *,
        keep_crops: bool,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._pipeline = pipeline
        self._galleries = galleries
        self._keep_crops = keep_crops
        self._draw = draw
        self._lock = threading.Lock()
        self._tallies: dict[str, ShadowTally] = {}
        # From the choice to the end, so that each is told what leaves its gallery in the meantime.
        self._open: set[Comparison] = set()
        self._waiting: deque[Comparison] = deque()
        self._faces: Counter[Outcome] = Counter()
        self._dropped: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._workers: Workers | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: asyncio.Task[None] | None = None
        galleries.migrations.watch(self._shown, self._gone)

    def start(self, workers: Workers) -> None:
        """Begin to compare, on this event loop."""
        self._workers, self._loop = workers, asyncio.get_running_loop()
        self._running = self._loop.create_task(self._run(workers))

    async def stop(self) -> None:
        """Compare no more; what runs on a thread ends by itself."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def choose(
        self, gallery_id: str, answering: asyncio.Task[Any], work: Work, *, distinct_subjects: bool
    ) -> Searched | None:
        """Decide by chance whether an identification is compared; called on a worker's thread before its search.

        Args:
            gallery_id: the gallery.
            answering: the task that ends when the answer is sent.
            work: the request.
            distinct_subjects: whether its faces are different people.

        Returns:
            what must be told the contract that was searched, the faces, and the answers; ``None`` if it is not chosen.
        """
        shadowing = self._galleries.migrations.shadowing(gallery_id)
        if shadowing is None or self._loop is None or self._draw() >= shadowing.share:
            return None
        comparison = Comparison(gallery_id, shadowing.roles, distinct_subjects)
        with self._lock:
            self._open.add(comparison)
        now = self._galleries.migrations.shadowing(gallery_id)
        if now is None or now.roles != comparison.roles:  # changed before the comparison could be told
            comparison.is_over = True
        self._loop.call_soon_threadsafe(answering.add_done_callback, lambda _: self._answered(comparison))
        return partial(self._searched, comparison, work)

    def _searched(
        self,
        comparison: Comparison,
        work: Work,
        contract: str,
        faces: Sequence[AlignedFace],
        answers: Sequence[Identification],
    ) -> None:
        """Take the faces of an identification."""
        if contract != comparison.roles.serving.contract:
            return  # it was switched in between
        cost = _cost(work.stopwatch, len(faces))
        with self._lock:
            pairs = [(face, kept(answer)) for face, answer in zip(faces, answers, strict=True)]
            comparison.faces = _without(pairs, comparison.gone)
            comparison.cost = cost

    def report(self, gallery_id: str, convert: Convert[T], *, reset: bool) -> T:
        """Convert what is known of a gallery; nobody adds to it meanwhile.

        Args:
            gallery_id: the gallery.
            convert: makes the report of the models, of the tally if there is one, and of the display names by subject.
            reset: forget it afterwards.

        Raises:
            GalleryNotFound: there is no such gallery.
            NoMigration: it is not being migrated.
            MigrationEnding: the migration is ending.
        """
        roles = self._galleries.migrations.roles(gallery_id)
        self._galleries.migrations.shadowing(gallery_id)  # what has expired leaves the gallery now
        display_names: dict[str, str] = {}
        while True:
            with self._lock:
                named = {each for found in self._disagreements(gallery_id) for each in found.subject_ids}
                unknown = named - display_names.keys()
                if not unknown:
                    tally = self._tallies.get(gallery_id)
                    report = convert(
                        roles, tally if tally is not None and tally.roles == roles else None, display_names
                    )
                    if reset:
                        self._tallies.pop(gallery_id, None)
                    return report
            # Another process may have renamed or deleted them.
            found = self._display_names(gallery_id, unknown)
            display_names |= found
            self._gone(gallery_id, unknown - found.keys())

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        faces = CounterMetricFamily(
            "facet_shadow_faces", "Faces that were searched with both models of a migration.", labels=["outcome"]
        )
        dropped = CounterMetricFamily(
            "facet_shadow_dropped",
            "Identifications that were chosen for a comparison and not compared.",
            labels=["why"],
        )
        with self._lock:
            for outcome in Outcome:
                faces.add_metric([outcome.value], self._faces[outcome])
            for why in (_BUSY, _LATE, _FAILED):
                dropped.add_metric([why], self._dropped[why])
        yield from (faces, dropped)

    def _answered(self, comparison: Comparison) -> None:
        """Queue an identification whose answer is sent; it has no faces if there was no search, or it failed."""
        with self._lock:
            waiting = sum(len(each.faces) for each in self._waiting)
            wants = bool(comparison.faces) and not comparison.is_over
            if wants and waiting + len(comparison.faces) <= MAX_WAITING_FACES:
                comparison.until = time.monotonic() + MAX_AGE
                self._waiting.append(comparison)
                self._wake.set()
                return
            self._open.discard(comparison)
            if wants:
                self._drop(comparison, _BUSY)

    async def _run(self, workers: Workers) -> None:
        while True:
            await self._wake.wait()
            with self._lock:
                if not self._waiting:
                    self._wake.clear()
                    continue
                comparison = self._waiting.popleft()
            try:
                await self._compare(workers, comparison)
            except Exception as error:
                with self._lock:
                    self._drop(comparison, _LATE if isinstance(error, RequestExpired) else _FAILED)
                    is_failure = not (isinstance(error, RequestExpired) or comparison.is_over)
                if is_failure:
                    _log.warning("cannot compare the models", gallery=comparison.gallery_id, exc_info=error)
            finally:
                with self._lock:
                    self._open.discard(comparison)

    async def _compare(self, workers: Workers, comparison: Comparison) -> None:
        faces, stopwatch = list(comparison.faces), Stopwatch()
        probes: list[NDArray[np.float32]] = []
        while len(probes) < len(faces) and not comparison.is_over:
            # Work of its own for each part: work that was interrupted would go before all other.
            work = Work(stopwatch, comparison.until, kind="Shadow", priority=Priority.BACKGROUND, caller=_CALLER)
            await workers.run(work, partial(self._part, comparison, faces, probes, work), never_refuse=True)

    def _part(
        self, comparison: Comparison, faces: Sequence[_Pair], probes: list[NDArray[np.float32]], work: Work
    ) -> None:
        """Embed some faces, one after the other: no request waits for more than one. When all are, search them."""
        for face, _ in faces[len(probes) : len(probes) + _AT_ONCE]:
            probes += list(self._pipeline.embed([face], work, contract=comparison.roles.shadow.contract))
        if len(probes) == len(faces):
            self._search(comparison, faces, np.stack(probes), work)

    def _search(self, comparison: Comparison, faces: Sequence[_Pair], probes: NDArray[np.float32], work: Work) -> None:
        with work.stage("search"):
            answers = self._galleries.search(
                comparison.gallery_id,
                probes,
                top_k=1,
                contract=comparison.roles.shadow.contract,
                distinct_subjects=comparison.distinct_subjects,
            )
        compared = [
            (face, serving, kept(shadow), outcome)
            for (face, serving), shadow, probe in zip(faces, answers, probes, strict=True)
            if (outcome := self._outcome(comparison, serving, shadow, probe)) is not None
        ]
        moment = self._galleries.clock()
        disagreements = [
            Disagreement(moment, serving, shadow, face.png() if self._keep_crops else b"")
            for face, serving, shadow, outcome in compared
            if not outcome.is_agreement and outcome is not Outcome.NOT_EMBEDDED
        ]
        cost = _cost(work.stopwatch, len(faces))
        with self._lock:
            if comparison.is_over:
                return
            tally = self._tally(comparison)
            tally.add([each[1:] for each in compared], comparison.cost, cost)
            tally.disagreements += disagreements
            tally.forget(comparison.gone)
            self._faces.update(outcome for *_, outcome in compared)

    def _outcome(
        self, comparison: Comparison, serving: Identification, shadow: Identification, probe: NDArray[np.float32]
    ) -> Outcome | None:
        """Compare two answers; ``None`` if the subject is gone."""
        outcome = Outcome.of(serving, shadow)
        if outcome not in (Outcome.ONLY_SERVING, Outcome.DIFFERENT_SUBJECTS):
            return outcome
        subject_id, contract = serving.candidates[0].subject_id, comparison.roles.shadow.contract
        try:
            self._galleries.similarity_to_subject(comparison.gallery_id, subject_id, probe, contract=contract)
        except SubjectWithoutTemplates:
            return Outcome.NOT_EMBEDDED
        except SubjectNotFound:
            return None
        return outcome

    def _display_names(self, gallery_id: str, subject_ids: Iterable[str]) -> dict[str, str]:
        """Read the names of those subjects that exist."""
        found: dict[str, str] = {}
        for subject_id in subject_ids:
            with suppress(SubjectNotFound):
                found[subject_id] = self._galleries.get_subject(gallery_id, subject_id).display_name
        return found

    def _shown(self, gallery_id: str, roles: ModelRoles | None) -> None:
        """Forget what was compared with other roles."""
        with self._lock:
            tally = self._tallies.get(gallery_id)
            if tally is not None and tally.roles != roles:
                del self._tallies[gallery_id]
            for comparison in self._open:
                if comparison.gallery_id == gallery_id and comparison.roles != roles:
                    comparison.is_over, comparison.faces = True, []

    def _gone(self, gallery_id: str, subject_ids: Collection[str]) -> None:
        """Forget subjects."""
        if not subject_ids:
            return
        with self._lock:
            for comparison in self._open:
                if comparison.gallery_id == gallery_id:
                    comparison.gone.update(subject_ids)
                    comparison.faces = _without(comparison.faces, subject_ids)
            if (tally := self._tallies.get(gallery_id)) is not None:
                tally.forget(subject_ids)

    def _tally(self, comparison: Comparison) -> ShadowTally:
        return self._tallies.setdefault(comparison.gallery_id, ShadowTally(comparison.roles, self._galleries.clock()))

    def _drop(self, comparison: Comparison, why: str) -> None:
        if not comparison.is_over:
            self._tally(comparison).dropped += 1
            self._dropped[why] += 1

    def _disagreements(self, gallery_id: str) -> Iterable[Disagreement]:
        tally = self._tallies.get(gallery_id)
        return () if tally is None else tally.disagreements


def _without(faces: Sequence[_Pair], subject_ids: Collection[str]) -> list[_Pair]:
    return [(face, answer) for face, answer in faces if not names(answer, subject_ids)]


def _cost(stopwatch: Stopwatch, faces: int) -> Cost:
    """What a face of an identification took."""
    seconds = stopwatch.seconds()
    return Cost(seconds.get("embed", 0.0) / faces, seconds.get("search", 0.0) / faces)

"""Works on the migrations of galleries, in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from facet.runtime.inference.session import InferenceFailed
from facet.server.migrations.crop_embedding import CropEmbedder, Stopping
from facet.server.migrations.gallery_migration import Embed, GalleryMigration
from gallery.errors import GalleryNotFound, StorageError, WorkUnderWay
from gallery.galleries import Galleries
from gallery.migration.gaps import Gap
from gallery.migration.standing import GapReason, Standing
from gallery.records.galleries import Gallery

_LOOK_SECONDS = 30.0
"""How often it looks for migrations that nobody told it about: another server may have begun one."""
_FIRST_RETRY, _LAST_RETRY = 1.0, 60.0
"""Seconds between two attempts after failures; they double."""
_PAGE = 1000

_log = structlog.get_logger("facet.migrations")


@dataclass(slots=True)
class _Entry:
    """A migration that is worked on."""

    migration: GalleryMigration
    is_idle: bool = False
    next_try: float = 0.0
    retry: float = _FIRST_RETRY


class MigrationWorker(Collector):
    """Makes the embeddings that templates miss, and drops those of migrations that end, gallery by gallery in turns.

    It goes on where it was after a restart: what is missing is in the store. A failure of the store is told in the
    standing of the migration, and the work is tried again.

    Args:
        galleries: the galleries.
        why_not_loaded: why the server lacks a model that it was to load; may be empty.
        clock: monotonic seconds.
    """

    def __init__(
        self, galleries: Galleries, why_not_loaded: str = "", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._galleries = galleries
        self._why_not_loaded = why_not_loaded
        self._clock = clock
        self._embedder: CropEmbedder | None = None
        self._entries: dict[str, _Entry] = {}
        self._next_look = 0.0
        self._failures = 0
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, embedder: CropEmbedder) -> None:
        """Begin; ``embedder`` is stopped by :meth:`close`."""
        self._embedder = embedder
        self._thread = threading.Thread(target=self._run, args=(embedder,), name="migrations", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End after the current transaction."""
        self._stopping.set()
        self._woken.set()
        if self._embedder is not None:
            self._embedder.stop()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Look for work at once: a migration has changed."""
        self._woken.set()

    def standing(self, gallery: Gallery) -> Standing:
        """Return where the migration of a gallery stands, without asking the store for its templates."""
        entry = self._entry(gallery)
        if entry is not None:
            return entry.migration.standing(gallery)
        total = self._galleries.migrations.gaps.total(gallery)
        return Standing(max(0, gallery.template_count - total), total, 0)

    def reason(self, gallery: Gallery, gap: Gap) -> GapReason:
        """Return why a template of a gallery misses an embedding."""
        entry = self._entry(gallery)
        if entry is not None:
            return entry.migration.reason(gap)
        return GapReason.NO_CROP if gap.face.crop is None else GapReason.WAITING

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        templates = {"done": 0, "waiting": 0, "missing": 0}
        problems = per_second = 0.0
        entries = list(self._entries.values())
        for entry in entries:
            standing = entry.migration.seen
            templates["done"] += standing.done
            templates["waiting"] += standing.waiting
            templates["missing"] += standing.missing
            per_second += standing.per_second
            problems += bool(standing.problem)
        yield GaugeMetricFamily("facet_migrations", "Galleries that are being migrated.", len(entries))
        yield GaugeMetricFamily("facet_migration_problems", "Migrations that cannot go on.", problems)
        family = GaugeMetricFamily(
            "facet_migration_templates", "Templates of galleries that are being migrated.", labels=["state"]
        )
        for state, count in templates.items():
            family.add_metric([state], count)
        yield family
        yield GaugeMetricFamily(
            "facet_migration_templates_per_second", "Embeddings made per second of the last minute.", per_second
        )
        yield CounterMetricFamily("facet_migration_failures", "Failures of the work on migrations.", self._failures)

    def _entry(self, gallery: Gallery) -> _Entry | None:
        entry = self._entries.get(gallery.gallery_id)
        if entry is None or gallery.migration is None:
            return None
        return entry if entry.migration.migration_id == gallery.migration.migration_id else None

    def take_turns(self, embedder: Embed) -> float:
        """Take a step of each migration that has something to do; :meth:`start` does it again and again.

        Returns:
            seconds until there is something to do.

        Raises:
            Stopping: the server stops.
        """
        if self._woken.is_set() or self._clock() >= self._next_look:
            self._woken.clear()
            self._look_for_migrations(embedder)
        for gallery_id, entry in list(self._entries.items()):
            if not entry.is_idle and self._clock() >= entry.next_try:
                self._take_step(gallery_id, entry)
        moments = [self._next_look, *(each.next_try for each in self._entries.values() if not each.is_idle)]
        return max(0.0, min(moments) - self._clock())

    def _run(self, embedder: CropEmbedder) -> None:
        while not self._stopping.is_set():
            try:
                pause = self.take_turns(embedder)
            except Stopping:
                return
            self._woken.wait(pause)

    def _take_step(self, gallery_id: str, entry: _Entry) -> None:
        try:
            entry.is_idle = not entry.migration.step()
            entry.migration.failure = ""
            entry.next_try, entry.retry = 0.0, _FIRST_RETRY
        except Stopping:
            raise
        except GalleryNotFound:
            del self._entries[gallery_id]
        except WorkUnderWay:
            # A server that shares the store is faster: this one sees what is left for it.
            entry.next_try = self._clock() + _FIRST_RETRY
        except Exception as error:
            self._try_again(gallery_id, entry, error)

    def _try_again(self, gallery_id: str, entry: _Entry, error: Exception) -> None:
        self._failures += 1
        entry.migration.failure = str(error)
        entry.next_try = self._clock() + entry.retry
        # What nobody expects has a traceback: it is a bug, and must not end the work on other galleries.
        is_expected = isinstance(error, StorageError | InferenceFailed | OSError)
        _log.error(
            "cannot work on a migration",
            gallery=gallery_id,
            error=str(error),
            again_in_seconds=entry.retry,
            exc_info=not is_expected,
        )
        entry.retry = min(2 * entry.retry, _LAST_RETRY)

    def _look_for_migrations(self, embedder: Embed) -> None:
        self._next_look = self._clock() + _LOOK_SECONDS
        try:
            found = {each.gallery_id: each.migration.migration_id for each in self._migrating() if each.migration}
        except Exception as error:  # the thread must not end
            self._failures += 1
            _log.error(
                "cannot look for migrations",
                error=str(error),
                again_in_seconds=_LOOK_SECONDS,
                exc_info=not isinstance(error, StorageError),
            )
            return
        known = {
            gallery_id: entry
            for gallery_id, entry in self._entries.items()
            if found.get(gallery_id) == entry.migration.migration_id
        }
        for gallery_id, migration_id in found.items():
            if gallery_id not in known:
                work = GalleryMigration(self._galleries, gallery_id, migration_id, embedder, self._why_not_loaded)
                known[gallery_id] = _Entry(work)
            known[gallery_id].is_idle = False
        self._entries = known

    def _migrating(self) -> Iterator[Gallery]:
        """List the galleries that are being migrated."""
        token = ""
        while True:
            page = self._galleries.list_galleries(page_size=_PAGE, page_token=token)
            yield from (gallery for gallery in page.items if gallery.migration is not None)
            token = page.next_page_token
            if not token:
                return

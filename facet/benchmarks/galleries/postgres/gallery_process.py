"""A server's galleries in a process of their own, as several servers have them."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.galleries.synthetic_gallery import CONTRACT, GALLERY, enrollment_of
from facet.benchmarks.process_memory import own_mib, rss_mib
from facet.benchmarks.timing import milliseconds
from facet.runtime.process import configure_for_models
from gallery.galleries import Galleries
from gallery.records.identifications import Decision
from gallery.stores.base import Store
from gallery.stores.postgres.postgres_store import PostgresStore
from gallery.stores.sqlite.sqlite_store import SqliteStore

DIMENSION = 512
SCHEMA = "facet_bench"
GIVE_UP_SECONDS = 30.0


class GalleryProcess:
    """Runs in a process of its own what :class:`Work` does.

    Args:
        place: the URL of a PostgreSQL, or the path of an SQLite database, with the gallery.
        snapshots: a folder for its index files; ``None`` for none.

    Attributes:
        load_s: how long it took to open the gallery, seconds.

    Raises:
        OSError: the gallery cannot be opened.
    """

    def __init__(self, place: str, snapshots: Path | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(place, snapshots, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.load_s: float = self._answer()

    def begin(self, name: str, *arguments: object) -> Callable[[], Any]:
        """Begin a method of :class:`Work`; what is returned waits for its result."""
        self._connection.send((name, arguments))
        return self._answer

    def call(self, name: str, *arguments: object) -> Any:
        """Run a method of :class:`Work`, and return its result."""
        return self.begin(name, *arguments)()

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join()

    def _answer(self) -> Any:
        try:
            result, failure = self._connection.recv()
        except EOFError:
            raise OSError("a process of the measurement has ended") from None
        if failure:
            raise OSError(failure)
        return result


class Work:
    """What the process of a server does. Moments are those of the monotonic clock, which all processes share.

    Args:
        galleries: the server's.
    """

    def __init__(self, galleries: Galleries) -> None:
        self._galleries = galleries

    def memory(self) -> float:
        """Return the memory of the process, MiB."""
        return rss_mib()

    def own_memory(self) -> float:
        """Return the memory of the process that no other one can share, MiB."""
        return own_mib()

    def search(self, probes: NDArray[np.float32]) -> list[float]:
        """Search for five subjects with each probe, and return the milliseconds of each."""
        return [milliseconds(partial(self._galleries.search, GALLERY, probe[None], top_k=5)) for probe in probes]

    def enroll(self, faces: NDArray[np.float32], clients: int) -> tuple[float, float, list[float]]:
        """Enrol faces as new subjects; return when that began and ended, and the milliseconds of each."""

        def one(face: NDArray[np.float32]) -> float:
            return milliseconds(partial(self._galleries.enroll, GALLERY, "", enrollment_of(face)))

        begun = time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            took = list(pool.map(one, faces))
        return begun, time.monotonic(), took

    def enroll_one(self, face: NDArray[np.float32]) -> tuple[float, str]:
        """Enrol a face as a new subject; return when that was acknowledged, and the gallery's revision."""
        self._galleries.enroll(GALLERY, "", enrollment_of(face))
        return time.monotonic(), self._galleries.revisions.current(GALLERY)

    def found_at(self, face: NDArray[np.float32]) -> float:
        """Search for a face until it is found, and return when that was.

        Raises:
            TimeoutError: it is not found for too long.
        """
        give_up = time.monotonic() + GIVE_UP_SECONDS
        pause = threading.Event()
        while not self.finds(face, ""):
            if time.monotonic() > give_up:
                raise TimeoutError(f"the other server did not find a face within {GIVE_UP_SECONDS:.0f} s")
            pause.wait(0.001)
        return time.monotonic()

    def finds(self, face: NDArray[np.float32], revision: str) -> bool:
        """Tell whether one search at a revision finds a face; empty for any."""
        if revision:
            self._galleries.revisions.reach(GALLERY, revision)
        (found,) = self._galleries.search(GALLERY, face[None], top_k=1)
        return found.decision is Decision.MATCH


def _work(place: str, snapshots: Path | None, connection: Connection) -> None:
    """The process: answer with a result and an empty text, or with the text of a failure."""
    configure_for_models()  # as every server does
    try:
        begun = time.perf_counter()
        store: Store = PostgresStore(place, schema=SCHEMA) if "://" in place else SqliteStore(Path(place))
        galleries = Galleries(
            store,
            contract=CONTRACT,
            dimension=DIMENSION,
            max_templates_per_subject=100,
            snapshot_dir=snapshots,
        )
        connection.send((round(time.perf_counter() - begun, 2), ""))
        work = Work(galleries)
        while True:
            try:
                name, arguments = connection.recv()
            except EOFError:
                break
            connection.send((getattr(work, name)(*arguments), ""))
        galleries.close()
    except Exception as error:
        connection.send((None, f"{type(error).__name__}: {error}"))

"""Live searches at a steady rate: how long each took, and whether it failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from facet import Client, FacetError

_THREADS = 8
_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Search:
    """One search.

    Attributes:
        start: as of ``time.perf_counter``; when it was due, so that a server that is late pays for it.
        ms: how long it took, in milliseconds.
        failure: the status and the reason; empty if it was answered.
    """

    start: float
    ms: float
    failure: str = ""


class LiveLoad:
    """Searches a gallery at a steady rate until it is closed.

    Args:
        address: of the server.
        gallery_id: the gallery.
        pictures: searched for in turn.
        rate: searches a second.
    """

    def __init__(self, address: str, gallery_id: str, pictures: Sequence[bytes], rate: float) -> None:
        self._client = Client(address)
        self._gallery_id = gallery_id
        self._pictures = pictures
        self._interval = 1 / rate
        self._searches: list[Search] = []
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(_THREADS, "live")
        self._thread = threading.Thread(target=self._send, name="live-load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._pool.shutdown()
        self._client.close()

    @property
    def failures(self) -> list[str]:
        """What went wrong so far."""
        return [search.failure for search in tuple(self._searches) if search.failure]

    def measure(self, seconds: float, until: Callable[[], bool] = lambda: True) -> list[float]:
        """Return the durations of the searches that begin within some seconds, and longer until something is so."""
        start = time.perf_counter()
        while time.perf_counter() < start + seconds or not until():
            self._stopped.wait(0.2)
        end = time.perf_counter()
        return [each.ms for each in tuple(self._searches) if start <= each.start <= end]

    def _send(self) -> None:
        due = time.perf_counter()
        number = 0
        while not self._stopped.wait(max(0.0, due - time.perf_counter())):
            self._pool.submit(self._search, due, self._pictures[number % len(self._pictures)])
            due += self._interval
            number += 1

    def _search(self, due: float, picture: bytes) -> None:
        failure = ""
        try:
            self._client.identify(self._gallery_id, picture, timeout=_TIMEOUT)
        except FacetError as error:
            failure = f"{error.code.name} {error.reason}".strip()
        self._searches.append(Search(due, (time.perf_counter() - due) * 1e3, failure))

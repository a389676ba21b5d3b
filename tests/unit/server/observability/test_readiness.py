"""When the server is alive, and when it is ready."""

from __future__ import annotations

import asyncio
import threading

from facet.server.observability.readiness import Phase, Readiness
from gallery.errors import StorageUnavailable
from tests.waiting import turns, until


def works() -> None:
    """A store that works."""


def figures(readiness: Readiness) -> dict[str, float]:
    return {sample.name: sample.value for metric in readiness.collect() for sample in metric.samples}


def test_it_is_ready_while_it_serves() -> None:
    readiness = Readiness(works)
    assert readiness.why_not_ready() == "starting"
    readiness.phase = Phase.SERVING
    assert readiness.why_not_ready() == ""
    assert figures(readiness)["facet_ready"] == 1
    readiness.phase = Phase.DRAINING
    assert readiness.why_not_ready() == "draining"
    assert figures(readiness)["facet_ready"] == 0
    assert readiness.why_not_alive() == ""


async def test_an_event_loop_that_is_late_is_not_ready_and_one_that_hangs_is_not_alive() -> None:
    now = 0.0
    readiness = Readiness(works, lambda: now)
    readiness.phase = Phase.SERVING
    readiness.start()
    await turns(1)  # the first beat
    assert readiness.why_not_ready() == ""
    now = 5.0  # while the loop does something else
    assert readiness.why_not_ready() == "the event loop is 4.9 s late"
    assert figures(readiness) == {"facet_ready": 0, "facet_store_available": 1, "facet_event_loop_lag_seconds": 4.9}
    assert readiness.why_not_alive() == ""
    now = 60.0
    assert readiness.why_not_alive() == "the event loop has not run for 60 s"
    await asyncio.to_thread(until, lambda: not readiness.why_not_ready(), "there is no other beat")
    await readiness.stop()
    assert "store-check" not in {thread.name for thread in threading.enumerate()}
    now = 1000.0
    assert readiness.why_not_alive() == ""


def test_a_server_that_searches_without_its_store_is_ready_but_degraded() -> None:
    failing = threading.Event()

    def check() -> None:
        if failing.is_set():
            raise StorageUnavailable("it is away")

    for searches_alone, unready, degraded in ((True, "", True), (False, "the database cannot be used now", False)):
        readiness = Readiness(check, searches_alone=searches_alone)
        readiness.phase = Phase.SERVING
        readiness._check_now()
        assert (readiness.why_not_ready(), readiness.why_degraded()) == ("", "")
        assert figures(readiness)["facet_store_available"] == 1
        failing.set()
        readiness._check_now()
        assert readiness.why_not_ready() == unready
        assert readiness.why_degraded().startswith("DEGRADED: the database cannot be used now") is degraded
        assert figures(readiness)["facet_store_available"] == 0
        failing.clear()

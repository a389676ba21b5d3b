"""The thread that works on migrations: how often it looks for work, and what it does about failures."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from facet.server.migrations.crop_embedding import CropEmbedder
from facet.server.migrations.worker import MigrationWorker
from facet.server.scheduling.workers import Workers
from gallery.errors import WorkUnderWay
from gallery.galleries import Galleries
from gallery.pages import Page
from gallery.records.galleries import Gallery
from tests.unit.server.migrations.samples import NEW, Embedder, Seconds, enroll
from tests.waiting import until_in_loop

NO_MODELS = cast("Any", None)
"""A pipeline that fails as soon as it is used."""


PEOPLE = 20


class Working:
    """A worker, without its thread."""

    def __init__(self, galleries: Galleries) -> None:
        self.clock = Seconds()
        self.galleries = galleries
        self.embedder = Embedder()
        self.worker = MigrationWorker(galleries, clock=self.clock)

    def work(self) -> float:
        """Work until nothing is left to do now; returns the seconds until there is."""
        while not (pause := self.worker.take_turns(self.embedder)):
            pass
        return pause

    def failures(self) -> float:
        return {each.name: each.samples[0].value for each in self.worker.collect()}["facet_migration_failures"]

    def done(self) -> int:
        return self.worker.standing(self.galleries.get_gallery("g")).done

    def problem(self) -> str:
        return self.worker.standing(self.galleries.get_gallery("g")).problem


@pytest.fixture
def working(galleries: Galleries) -> Working:
    """A worker of a gallery of twenty people with crops that is being migrated."""
    for number in range(PEOPLE):
        enroll(galleries, number)
    galleries.migrations.start("g", NEW.name)
    return Working(galleries)


@pytest.fixture
def other_process(tmp_path: Path, working: Working) -> Iterator[sqlite3.Connection]:
    """A connection of another process that can keep the database from being written."""
    with closing(sqlite3.connect(tmp_path / "facet.db", isolation_level=None)) as connection:
        yield connection


def test_a_failing_store_is_tried_again_after_1_s_and_later_after_60(
    working: Working, other_process: sqlite3.Connection
) -> None:
    other_process.execute("BEGIN IMMEDIATE")
    with capture_logs() as logs:
        for failures, retry in enumerate([1, 2, 4, 8, 16, 32, 60, 60], start=1):
            assert working.work() <= retry
            assert working.failures() == failures
            working.clock.seconds += retry - 0.5
            working.worker.look()
            working.work()
            assert working.failures() == failures, "tried again too early"
            assert "another process" in working.problem()
            working.clock.seconds += 0.5
    assert [entry["again_in_seconds"] for entry in logs] == [1, 2, 4, 8, 16, 32, 60, 60]
    other_process.execute("ROLLBACK")
    working.embedder.outcomes[18] = OSError("no process can be started")
    with capture_logs() as logs:
        assert working.work() == 1
    assert working.done() == 16
    assert working.problem() == "no process can be started"
    assert [entry["again_in_seconds"] for entry in logs] == [1], "what failed before is over"
    working.embedder.outcomes.clear()
    working.clock.seconds += 1
    working.work()
    assert (working.done(), working.problem(), working.failures()) == (PEOPLE, "", 9)


def test_no_failure_ends_the_work_on_other_galleries(working: Working) -> None:
    working.galleries.create_gallery("h", display_name="")
    working.galleries.migrations.start("h", NEW.name)
    working.embedder.outcomes[0] = ZeroDivisionError("nobody expects it")
    with capture_logs() as logs:
        working.work()
    assert [(entry["gallery"], entry["exc_info"]) for entry in logs] == [("g", True)]
    assert working.problem() == "nobody expects it"
    working.galleries.migrations.cancel("h")
    working.worker.look()
    working.work()
    assert working.galleries.get_gallery("h").migration is None


async def test_the_thread_goes_on_after_any_failure(galleries: Galleries, monkeypatch: pytest.MonkeyPatch) -> None:
    enroll(galleries, 0)
    workers = Workers(threads=1, max_queue=1)
    worker = MigrationWorker(galleries)
    list_galleries, looked = galleries.list_galleries, []

    def fail_at_first(**wanted: Any) -> Page[Gallery]:
        looked.append(wanted)
        if len(looked) == 1:
            raise ZeroDivisionError
        return list_galleries(**wanted)

    monkeypatch.setattr(galleries, "list_galleries", fail_at_first)

    def failures() -> float:
        return {each.name: each.samples[0].value for each in worker.collect()}["facet_migration_failures"]

    worker.start(CropEmbedder(NO_MODELS, workers, asyncio.get_running_loop()))
    await until_in_loop(lambda: failures() == 1)
    galleries.migrations.start("g", NEW.name)
    worker.look()
    await until_in_loop(lambda: failures() >= 2)  # the models fail
    galleries.migrations.cancel("g")
    worker.look()
    await until_in_loop(lambda: galleries.get_gallery("g").migration is None)
    await asyncio.to_thread(worker.close)
    workers.close()


def test_work_that_another_server_does_is_no_failure(working: Working) -> None:
    working.embedder.outcomes[0] = WorkUnderWay("another server works on it")
    with capture_logs() as logs:
        assert working.work() == 1
    assert (logs, working.problem(), working.failures()) == ([], "", 0)
    working.embedder.outcomes.clear()
    working.clock.seconds += 1
    working.work()
    assert working.done() == PEOPLE

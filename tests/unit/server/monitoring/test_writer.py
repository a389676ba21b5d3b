"""What was counted is stored at an interval and at the end, also after the store has failed for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from facet.server.config import MonitoringConfig
from facet.server.monitoring import recorder
from facet.server.monitoring.recorder import Recorder, Unstored
from facet.server.monitoring.writer import ObservationWriter
from gallery.errors import StorageFull
from gallery.estimation.observation_history import ObservationHistory
from gallery.observations.records import Observation
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.integration.gallery.stores.samples import new_gallery
from tests.unit.server.monitoring.samples import MATCH, NOON, NoonClock, aligned_face
from tests.waiting import until


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    made = SqliteStore(tmp_path / "facet.db")
    made.create_gallery(new_gallery("g"))
    return made


def stored(store: SqliteStore) -> int:
    """The number of faces in the store."""
    found = store.observations.find("g", since=NOON, until=NOON.replace(year=2027), after=None, limit=100)
    return sum(each.counts.faces for each in found)


def count(record: Recorder) -> None:
    record.picture("g", "token", 0.34, [aligned_face()], [MATCH], 1)


def test_counts_are_stored_while_the_server_runs_and_when_it_stops(store: SqliteStore) -> None:
    clock = NoonClock()
    record = Recorder(clock=clock)
    writer = ObservationWriter(record, ObservationHistory(store), MonitoringConfig(flush_seconds=0.1), clock)
    writer.start()
    count(record)
    until(lambda: stored(store) == 1)
    count(record)
    writer.close()
    assert stored(store) == 2
    store.close()


class FullDisk:
    """The observations of a store on a disk that is full now and then."""

    def __init__(self, store: SqliteStore) -> None:
        self.real = store.observations
        self.is_full, self.at_once = True, self.real.at_once
        self.find, self.tidy, self.sources = self.real.find, self.real.tidy, self.real.sources
        self.begin_reference, self.reference_starts = self.real.begin_reference, self.real.reference_starts

    def add(self, observations: Sequence[Observation]) -> None:
        """See :meth:`gallery.stores.logs.ObservationLog.add`."""
        if self.is_full:
            raise StorageFull("no room")
        self.real.add(observations)


def test_a_full_disk_loses_nothing_once_it_has_room(store: SqliteStore) -> None:
    record, history = Recorder(clock=NoonClock()), ObservationHistory(store)
    disk = history.log = FullDisk(store)
    writer = ObservationWriter(record, history, MonitoringConfig())
    for _ in range(3):
        count(record)
        writer.write()
    assert stored(store) == 0
    failures = {each.name: each.samples[0].value for each in writer.collect()}
    assert failures == {"facet_observation_failures": 3, "facet_observations_lost": 0, "facet_observations_in_other": 0}
    disk.is_full = False
    writer.close()
    assert stored(store) == 3
    store.close()


def test_a_store_without_transactions_gets_each_observation_once() -> None:
    record, waiting = Recorder(clock=NoonClock()), Unstored()
    for number in range(3):
        record.picture("g", f"key:{number}", 0.34, [aligned_face()], [MATCH], 1)
    waiting.add(record.take())
    kept: list[str] = []
    failures = 2

    def one_at_a_time(observations: Sequence[Observation]) -> None:
        nonlocal failures
        for each in observations:
            if each.source == "caller:key:1" and failures:
                failures -= 1
                raise StorageFull("no room")
            kept.append(each.source)

    for _ in range(2):
        with pytest.raises(StorageFull):
            waiting.store(one_at_a_time, at_once=1)
    waiting.store(one_at_a_time, at_once=1)
    assert sorted(kept) == ["caller:key:0", "caller:key:1", "caller:key:2"]


def test_a_new_gallery_gets_no_counts_of_one_that_had_its_id(store: SqliteStore) -> None:
    clock = NoonClock()
    record, told = Recorder(clock=clock), list[Observation]()
    writer = ObservationWriter(record, ObservationHistory(store), MonitoringConfig(), clock)
    writer.on_taken.append(told.extend)
    count(record)
    clock.advance(seconds=1)
    store.delete_gallery("g", force=True, etag="")
    store.create_gallery(replace(new_gallery("g"), create_time=clock()))
    writer.write()
    assert (stored(store), told) == (0, [])
    count(record)
    writer.close()
    assert stored(store) == 1
    store.close()


def test_what_waits_for_the_store_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_CELLS", 2)
    clock, waiting = NoonClock(), Unstored()
    record = Recorder(clock=clock)
    for _ in range(6):
        count(record)
        waiting.add(record.take())
        clock.advance(hours=1)
    assert waiting.lost == 2
    kept: list[Observation] = []
    waiting.store(kept.extend, at_once=3)
    assert [each.start.hour for each in kept] == [14, 15, 16, 17]

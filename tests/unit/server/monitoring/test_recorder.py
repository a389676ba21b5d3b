"""Answers are counted by gallery, by camera or caller, and by hour, in bounded memory."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from facet.server.monitoring import recorder
from facet.server.monitoring.recorder import Recorder
from facet.tracking.records import SettledTrack
from gallery.observations.quantities import Quantity
from gallery.observations.records import OTHER, Observation
from gallery.records.identifications import Decision
from tests.unit.server.monitoring.samples import MATCH, NOON, QUALITY, NoonClock, aligned_face


def count(record: Recorder, caller: str = "key:kiosk", gallery: str = "g", faces: int = 1) -> None:
    record.picture(gallery, caller, 0.34, [aligned_face()] * faces, [MATCH] * faces, faces)


def by_source(observations: list[Observation]) -> dict[str, int]:
    return {each.source: each.counts.faces for each in observations}


def test_pictures_are_counted_by_caller_and_what_was_taken_is_gone() -> None:
    record = Recorder(clock=NoonClock())
    count(record, faces=2)
    count(record, "key:gate")
    taken = record.take()
    assert by_source(taken) == {"caller:key:kiosk": 2, "caller:key:gate": 1}
    assert {each.start for each in taken} == {NOON}
    assert taken[0].counts.mean_templates == 100
    assert record.take() == []


def test_a_stream_counts_each_person_once_with_the_similarity_of_the_track() -> None:
    record = Recorder(clock=NoonClock())
    tracks = [SettledTrack(Decision.MATCH, QUALITY, 0.9, 0.6, 0.2), SettledTrack(Decision.REFUSED, QUALITY, 0.5)]
    record.tracks("g", "key:gate", "door", tracks, seen=3, templates_compared=50)
    (seen,) = record.take()
    assert seen.source == "camera:door"
    assert (seen.counts.faces, seen.counts.searches, seen.counts.templates_compared) == (2, 1, 50)
    assert int(seen.counts.histograms[Quantity.FACES_PER_PICTURE][3]) == 1


def test_each_hour_is_counted_by_itself() -> None:
    clock = NoonClock()
    record = Recorder(clock=clock)
    clock.advance(minutes=59)
    count(record)
    clock.advance(minutes=1)
    count(record, faces=3)
    assert {each.start: each.counts.faces for each in record.take()} == {NOON: 1, NOON + timedelta(hours=1): 3}


def test_more_sources_than_are_kept_apart_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_SOURCES", 2)
    monkeypatch.setattr(recorder, "RESERVED_SOURCES", 0)
    record = Recorder(clock=NoonClock())
    for number in range(3):
        count(record, f"key:{number}")
    record.take()
    for number in range(6):
        count(record, f"key:{number}")
    assert by_source(record.take()) == {"caller:key:0": 1, "caller:key:1": 1, OTHER: 4}
    assert record.in_other == 5


def test_names_of_cameras_do_not_take_the_places_of_other_callers() -> None:
    record = Recorder(clock=NoonClock())
    tracks = [SettledTrack(Decision.MATCH, QUALITY, 0.9, 0.6, 0.2)]
    for number in range(100):
        record.tracks("g", "key:greedy", f"camera {number}", tracks, seen=1, templates_compared=50)
    count(record, "key:late")
    record.tracks("g", "key:gate", "gate", tracks, seen=1, templates_compared=50)
    kept = by_source(record.take())
    assert (kept["caller:key:late"], kept["camera:gate"]) == (1, 1)
    assert kept[OTHER] == record.in_other == 100 - 32
    assert len(kept) == 32 + 2 + 1


def test_frames_that_cannot_be_decoded_take_no_places_from_cameras_with_faces() -> None:
    clock = NoonClock()
    record = Recorder(clock=clock)
    tracks = [SettledTrack(Decision.MATCH, QUALITY, 0.9, 0.6, 0.2)]
    for number in range(100):
        record.undecoded("g", "key:garbage", camera=f"camera {number}")
    for number in range(10):
        record.undecoded("g", "key:gate", camera=f"gate {number}")
        record.tracks("g", "key:gate", f"gate {number}", tracks, seen=1, templates_compared=50)
        record.undecoded("g", "key:gate", camera=f"gate {number}")
    counted = {each.source: (each.counts.faces, each.counts.undecoded) for each in record.take()}
    gates = {f"camera:gate {number}": (1, 1) for number in range(10)}
    assert counted == {"caller:key:garbage": (0, 100), "caller:key:gate": (0, 10)} | gates
    assert record.in_other == 0
    clock.advance(hours=1)
    record.undecoded("g", "key:gate", camera="gate 0")
    (later,) = record.take()
    assert later.source == "caller:key:gate", "every hour begins anew"


def test_the_threshold_of_a_request_does_not_change_what_is_counted() -> None:
    record = Recorder(clock=NoonClock())
    unknown = replace(MATCH, decision=Decision.UNKNOWN, threshold=0.9)
    too_close = replace(MATCH, decision=Decision.UNKNOWN, too_close_to="twin", is_ambiguous=True)
    refused = replace(MATCH, decision=Decision.REFUSED, candidates=())
    record.picture("g", "key:gate", 0.5, [aligned_face()] * 3, [unknown, too_close, refused], 3)
    record.picture("g", "key:gate", 0.7, [aligned_face()], [MATCH], 1)
    (seen,) = record.take()
    assert seen.counts.decisions == {Decision.MATCH: 1, Decision.UNKNOWN: 2, Decision.REFUSED: 1}


def test_nothing_is_counted_if_it_is_off() -> None:
    record = Recorder(is_on=False, clock=NoonClock())
    count(record)
    assert record.take() == []


def test_no_face_is_lost_between_threads() -> None:
    record = Recorder(clock=NoonClock())

    def count_many() -> None:
        for _ in range(200):
            count(record)

    threads = [threading.Thread(target=count_many) for _ in range(4)]
    taken: list[Observation] = []
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        taken += record.take()
    taken += record.take()
    assert sum(each.counts.faces for each in taken) == 800

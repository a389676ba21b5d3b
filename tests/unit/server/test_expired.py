"""The task that erases what has expired: a run that fails is counted, and repeated until it succeeds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from facet.server.expired import ExpiredEraser
from gallery.galleries import Galleries
from gallery.records.subjects import SubjectChange
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import RisingClock, now
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, face
from tests.waiting import until


class Notes:
    """An audit that a test reads."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str]] = []

    def note(self, action: str, gallery_id: str = "", subject_id: str = "", **_: object) -> None:
        """See :meth:`facet.server.audit.protocol.Audit.note`."""
        self.taken.append((action, gallery_id, subject_id))


def values(eraser: ExpiredEraser) -> dict[str, float]:
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for metric in eraser.collect()
        for sample in metric.samples
    }


def test_a_run_that_another_process_holds_up_is_counted_and_repeated(tmp_path: Path) -> None:
    clock = datetime.now(UTC)
    rising = RisingClock(lambda: clock)
    store = SqliteStore(tmp_path / "facet.db", patience=0.0, clock=rising)
    galleries = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5, clock=rising)
    galleries.create_gallery("g", display_name="")
    galleries.enroll("g", "ann", face(axis(0)))
    soon = SubjectChange(frozenset({"expire_time"}), expire_time=clock + timedelta(days=1))
    galleries.update_subject("g", "ann", soon)
    notes = Notes()
    eraser = ExpiredEraser(galleries, 0.01, notes, rising)
    with closing(sqlite3.connect(tmp_path / "facet.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM galleries").fetchone()
        clock += timedelta(days=1)
        eraser.start()
        until(lambda: values(eraser)["facet_expired_failures_total"] >= 2)
        assert values(eraser)["facet_expired_waiting"] >= 1
    until(lambda: values(eraser)["facet_expired_waiting"] == 0)
    eraser.close()
    assert values(eraser)["facet_expired_erased_totalsubjects"] == 1
    assert notes.taken == [("erased", "g", "ann")]
    assert not galleries.get_gallery("g").subject_count
    galleries.close()


def test_nothing_is_erased_while_the_clock_is_behind_one_that_was_wrong_for_a_moment(tmp_path: Path) -> None:
    clock = start = datetime.now(UTC)
    rising = RisingClock(lambda: clock)
    store = SqliteStore(tmp_path / "facet.db", clock=rising)
    galleries = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5, clock=rising)
    galleries.create_gallery("g", display_name="")
    galleries.enroll("g", "ann", face(axis(0)))
    later = SubjectChange(frozenset({"expire_time"}), expire_time=start + timedelta(days=300))
    galleries.update_subject("g", "ann", later)
    clock = start + timedelta(days=365)
    assert galleries.list_subjects("g", page_size=10, page_token="").items == ()
    clock = start
    eraser = ExpiredEraser(galleries, 0.01, Notes(), rising)
    eraser.start()
    until(lambda: values(eraser)["facet_expired_waiting"] == 1)
    assert galleries.list_subjects("g", page_size=10, page_token="").items == ()
    eraser.close()
    galleries.close()
    assert values(eraser)["facet_expired_erased_totalsubjects"] == 0

    restarted = Galleries(
        SqliteStore(tmp_path / "facet.db"), contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5
    )
    assert [each.subject_id for each in restarted.list_subjects("g", page_size=10, page_token="").items] == ["ann"]
    restarted.close()


def test_an_error_that_nobody_expects_does_not_end_the_erasures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    galleries = Galleries(
        SqliteStore(tmp_path / "facet.db"), contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5
    )
    errors, erase = [RuntimeError("unexpected")], galleries.retention.erase
    erased: list[int] = []

    def failing(check: Callable[[], None]) -> int:
        if errors:
            raise errors.pop()
        erased.append(erase(check))
        return erased[-1]

    monkeypatch.setattr(galleries.retention, "erase", failing)
    eraser = ExpiredEraser(galleries, 0.01, Notes(), RisingClock(now))
    with structlog.testing.capture_logs() as logged:
        eraser.start()
        until(lambda: bool(erased))
        eraser.close()
    assert values(eraser)["facet_expired_failures_total"] == 1
    (line,) = [line for line in logged if line["log_level"] == "error"]
    assert line["exc_info"], "a bug has a traceback"
    galleries.close()

"""The callers file while others change it."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from facet.server.access.callers.callers_file import CallersFileError, changing
from facet.server.access.callers.changes import changes
from facet.server.access.callers.watched_callers import WatchedCallers
from tests.unit.server.access.entries import CREATED, entry


def write(path: Path, *ids: str) -> None:
    with changing(path) as callers:
        callers[:] = [entry(caller_id, caller_id) for caller_id in ids]


def known(watched: WatchedCallers) -> set[str] | None:
    return None if watched.current is None else set(watched.current.ids)


def failed(watched: WatchedCallers) -> float:
    (metric,) = watched.collect()
    return metric.samples[0].value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "facet.callers.json"


def test_without_a_file_there_are_no_callers_and_from_the_first_one_on_there_are(path: Path) -> None:
    watched = WatchedCallers(path)
    assert not watched.refresh()
    assert known(watched) is None
    write(path, "one")
    assert watched.refresh()
    assert known(watched) == {"key:one"}
    write(path)
    assert watched.refresh()
    assert known(watched) == set(), "a file without callers lets nobody in"
    assert not failed(watched)


def test_a_file_that_cannot_be_used_any_more_changes_nothing_and_is_logged_once(path: Path) -> None:
    write(path, "one")
    watched = WatchedCallers(path)
    path.write_text('{"version": 1, "callers": [', "utf-8")
    with capture_logs() as logged:
        assert not watched.refresh()
        assert not watched.refresh()
    assert known(watched) == {"key:one"}
    assert [line["log_level"] for line in logged] == ["error"]
    assert failed(watched)
    path.unlink()
    write(path, "one", "two")
    assert watched.refresh()
    assert known(watched) == {"key:one", "key:two"}
    assert not failed(watched)


def test_a_change_is_not_lost_if_the_file_cannot_be_read_at_that_moment(path: Path) -> None:
    write(path, "one", "two")
    watched = WatchedCallers(path)
    write(path, "one")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with capture_logs() as logged:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # from now on, no file can be opened
        try:
            assert not watched.refresh()
            assert not watched.refresh()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [line["log_level"] for line in logged] == ["error"], "the same problem is logged once"
    assert failed(watched)
    assert watched.refresh()
    assert known(watched) == {"key:one"}
    assert not failed(watched)


def test_a_file_that_is_deleted_lets_nobody_in_until_it_is_there_again(path: Path) -> None:
    write(path, "one")
    watched = WatchedCallers(path)
    path.unlink()
    with capture_logs() as logged:
        assert watched.refresh()
        assert not watched.refresh()
    assert known(watched) == set()
    assert [line["log_level"] for line in logged] == ["error"]
    assert failed(watched)
    write(path, "one")
    assert watched.refresh()
    assert known(watched) == {"key:one"}


def test_callers_that_an_older_file_lets_in_again_are_logged_and_noted(path: Path) -> None:
    write(path, "one", "two")
    older = path.read_text("utf-8")
    with changing(path) as callers:
        callers[0] = callers[0].model_copy(update={"revoked": CREATED})
    watched = WatchedCallers(path)
    before = watched.current
    path.write_text(older, "utf-8")
    with capture_logs() as logged:
        assert watched.refresh()
    assert [line["callers"] for line in logged if line["log_level"] == "warning"] == [["key:one"]]
    assert changes(before, watched.current) == {"reinstated": ["key:one"]}
    path.unlink()
    write(path, "one", "two")
    with capture_logs() as logged:
        assert watched.refresh()
    assert "warning" not in [line["log_level"] for line in logged], "it is said once"


def test_a_first_file_that_cannot_be_used_lets_nobody_in(path: Path) -> None:
    watched = WatchedCallers(path)
    path.write_text("{", "utf-8")
    assert watched.refresh()
    assert known(watched) == set()


def test_a_server_does_not_start_with_a_file_that_cannot_be_used(path: Path) -> None:
    path.write_text("{", "utf-8")
    with pytest.raises(CallersFileError, match=str(path)):
        WatchedCallers(path)
    path.unlink()
    with pytest.raises(CallersFileError, match=f"facet keys create --callers {path}"):
        WatchedCallers(path, is_required=True)

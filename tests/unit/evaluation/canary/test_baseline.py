"""The baseline of a canary, and the set that belongs to it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from facet.evaluation.canary.baseline import (
    need_pictures,
    need_same_set,
    only_run,
    read_baseline,
    write_baseline,
)
from facet.evaluation.canary.result import CanaryFailed
from facet.evaluation.report.document import Report
from facet.evaluation.report.provenance import data_set


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "gallery"
    folder.mkdir()
    files = {f"gallery/{name}.jpg": folder / f"{name}.jpg" for name in ("ann", "bob", "eve")}
    for name, path in files.items():
        path.write_text(name)
    return files


@pytest.fixture
def baseline(tmp_path: Path, pictures: dict[str, Path]) -> Report:
    path = tmp_path / "baseline.json"
    report = {"kind": "identification", "provenance": {"data_set": data_set(None, pictures)}}
    write_baseline(path, report, pictures)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    read = read_baseline(path)
    assert read is not None
    return read


def failure(error: pytest.ExceptionInfo[CanaryFailed]) -> tuple[str, str]:
    return error.value.reason, str(error.value)


def test_the_same_pictures_are_the_set_of_the_baseline(baseline: Report, pictures: dict[str, Path]) -> None:
    need_pictures(baseline, {"gallery/": pictures["gallery/ann.jpg"].parent})
    need_same_set(baseline, data_set(None, pictures), pictures)


def test_pictures_that_are_gone_are_counted_and_named(baseline: Report, pictures: dict[str, Path]) -> None:
    pictures["gallery/bob.jpg"].unlink()
    with pytest.raises(CanaryFailed) as failed:
        need_pictures(baseline, {"gallery/": pictures["gallery/bob.jpg"].parent})
    reason, message = failure(failed)
    assert reason == "PICTURES_GONE"
    assert message.startswith("1 of the 3 pictures of the baseline is gone: gallery/bob.jpg; put them back; or ")
    assert message.endswith("--save-baseline")


def test_a_folder_that_is_gone_is_named(baseline: Report, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(CanaryFailed, match=rf"3 of the 3 .* are gone: .*; there is no folder {gone}; put them back"):
        need_pictures(baseline, {"gallery/": gone})


def test_changed_new_and_missing_pictures_are_named(baseline: Report, pictures: dict[str, Path]) -> None:
    pictures["gallery/ann.jpg"].write_text("another")
    pictures["gallery/new.jpg"] = pictures.pop("gallery/eve.jpg")
    with pytest.raises(CanaryFailed) as failed:
        need_same_set(baseline, data_set(None, pictures), pictures)
    reason, message = failure(failed)
    assert reason == "OTHER_SET"
    assert "changed: gallery/ann.jpg; new: gallery/new.jpg; missing: gallery/eve.jpg" in message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"kind": "verification", "provenance": {"data_set": {}}}',
        '{"kind": "identification"}',
        '{"kind": "identification", "provenance": {"data_set": {}}, "canary_pictures": []}',
        "[" * 200_000,
    ],
    ids=range(6),
)
def test_a_file_that_is_no_baseline_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(CanaryFailed, match="it is left as it is"):
        read_baseline(path)
    assert path.read_text() == text


def test_a_second_run_with_one_baseline_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    with only_run(path), pytest.raises(CanaryFailed) as failed, only_run(path):
        pass
    assert failed.value.reason == "ALREADY_RUNNING"
    with only_run(path):
        pass


def test_the_gallery_of_a_run_that_was_killed_is_known_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    with only_run(path) as pending:
        assert pending.read() == []
        pending.note("localhost:1", "canary-long-name")
        pending.note("127.0.0.1:1", "canary-1")
    with only_run(path) as pending:
        assert pending.read() == [("localhost:1", "canary-long-name"), ("127.0.0.1:1", "canary-1")]
        pending.forget("canary-long-name")
        assert pending.read() == [("127.0.0.1:1", "canary-1")]
        pending.forget("canary-1")
        assert pending.read() == []


@pytest.mark.parametrize("text", ["[", '["host:1", "canary-1"]', "{}", "[1]", "[" * 100_000], ids=range(5))
def test_a_lock_that_holds_no_notes_is_taken_for_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    (tmp_path / "baseline.json.lock").write_text(text)
    with only_run(path) as pending:
        assert pending.read() == []
        pending.note("host:1", "canary-1")
        assert pending.read() == [("host:1", "canary-1")]

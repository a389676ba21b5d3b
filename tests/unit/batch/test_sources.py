"""Which pictures a batch finds, and which are sent again after a stream broke."""

from __future__ import annotations

from pathlib import Path

import pytest

from facet.batch.sources import PendingPictures, find


def test_each_picture_is_found_once_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "@eaDir").mkdir()
    for name in ("b.jpg", "a.PNG", "notes.txt", "._b.jpg", "@eaDir/b.jpg"):
        (tmp_path / "photos" / name).touch()
    (tmp_path / "list.txt").write_text("photos/../photos/b.jpg\n\nphotos/missing.jpg\n")
    left_out: dict[str, str] = {}
    found = find([Path("photos")], [Path("list.txt")], left_out.__setitem__)
    assert list(found) == [str(tmp_path / "photos" / name) for name in ("a.PNG", "b.jpg", "missing.jpg")]
    assert left_out == {"photos/@eaDir": "HIDDEN", "photos/._b.jpg": "HIDDEN", "photos/notes.txt": "NOT_A_PICTURE"}


def test_a_source_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find([tmp_path / "nowhere"], [])
    with pytest.raises(FileNotFoundError):
        find([], [tmp_path / "nowhere.txt"])


def test_unanswered_pictures_are_sent_first_on_the_next_stream() -> None:
    pending = PendingPictures(["a", "b", "c"])
    first = pending.take()
    assert [next(first)[0] for _ in range(2)] == ["a", "b"]
    pending.done("a")
    assert [name for name, _ in pending.take()] == ["b", "c"]


def test_only_the_last_stream_is_given_pictures() -> None:
    pending = PendingPictures(["a", "b"])
    first = pending.take()
    second = pending.take()
    assert list(first) == []
    assert [name for name, _ in second] == ["a", "b"]

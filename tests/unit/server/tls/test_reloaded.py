"""Files that cannot be read when they change are read again later, and a problem is told once."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
import structlog

from facet.server.tls.pair import CertificateError
from facet.server.tls.reloaded import Reloaded


class Text:
    """A text in a file, which ``error`` keeps from being read."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "file"
        self.file.write_text("old", "ascii")
        self.error: Exception | None = None
        self.reads = 0
        self.reloaded = Reloaded("text", (self.file,), self._read, time.time)

    def _read(self) -> str:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.file.read_text("ascii")

    def looked_at(self) -> tuple[str, int]:
        """The value after another look at the file, and how often it was refused."""
        self.reloaded.refresh()
        return self.reloaded.value, self.reloaded.refused


@pytest.fixture
def text(tmp_path: Path) -> Text:
    return Text(tmp_path)


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), RuntimeError("not foreseen")])
def test_a_file_that_could_not_be_read_is_read_at_a_later_look_though_it_has_not_changed(
    text: Text, error: Exception
) -> None:
    text.file.write_text("newer", "ascii")
    text.error = error
    with structlog.testing.capture_logs() as logs:
        assert [text.looked_at() for _ in range(3)] == [("old", 1)] * 3
    assert [line["log_level"] for line in logs] == ["error"]
    text.error = None
    assert text.looked_at() == ("newer", 1)


def test_a_file_that_becomes_readable_by_a_change_of_its_mode_is_taken(text: Text) -> None:
    def readable_only_by_mode() -> str:
        if not text.file.stat().st_mode & 0o040:
            raise CertificateError("the group cannot read it")
        return text.file.read_text("ascii")

    text.file.chmod(0o640)
    reloaded = Reloaded("text", (text.file,), readable_only_by_mode, time.time)
    text.file.chmod(0o600)
    text.file.write_text("newer", "ascii")
    reloaded.refresh()
    assert reloaded.value == "old"
    before = text.file.stat()
    while text.file.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of a file system may be coarse
        text.file.chmod(0o640)
    assert text.file.stat().st_mtime_ns == before.st_mtime_ns
    reloaded.refresh()
    assert reloaded.value == "newer"


def test_a_file_that_can_be_read_and_not_used_is_not_read_again_until_it_changes(text: Text) -> None:
    text.file.write_text("newer", "ascii")
    text.error = CertificateError("no certificate")
    assert [text.looked_at() for _ in range(3)] == [("old", 1)] * 3
    assert text.reads == 2
    text.error = None
    text.file.write_text("newest", "ascii")
    assert text.looked_at() == ("newest", 1)


def test_each_new_problem_is_told_and_the_same_one_again_after_a_good_file(text: Text) -> None:
    for number, content in enumerate(("a", "bb", "ccc"), 1):
        text.error = PermissionError(errno.EACCES, "Permission denied")
        os.truncate(text.file, 0)
        assert text.looked_at()[1] == 2 * number - 1
        text.error = OSError(errno.EMFILE, "Too many open files")
        assert text.looked_at()[1] == 2 * number
        text.error = None
        text.file.write_text(content, "ascii")
        assert text.looked_at()[0] == content

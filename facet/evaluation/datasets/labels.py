"""Checks and errors that all readers of labels share."""

from __future__ import annotations

from pathlib import Path

MOST_PIXELS = 1e9
"""Larger coordinates belong to no picture."""


class LabelError(Exception):
    """A label file cannot be used; the message names the file and, if known, the line."""

    def __init__(self, path: Path, line: int | None, problem: str) -> None:
        where = str(path) if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {problem}".encode("utf-8", "backslashreplace").decode("utf-8"))


def read_text(path: Path) -> str:
    """Read the text of a label file, without a byte order mark.

    Raises:
        LabelError: the file is unreadable or not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(path, None, f"is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise LabelError(path, None, f"cannot be read: {error.strerror}") from error


def need_folder(path: Path) -> None:
    """Check that a folder of pictures exists.

    Raises:
        LabelError: it does not exist or is not a folder.
    """
    if not _exists(path):
        raise LabelError(path, None, "there is no such folder")
    if not path.is_dir():
        raise LabelError(path, None, "is no folder")


def need_labels(path: Path) -> None:
    """Check that a label file or folder exists.

    Raises:
        LabelError: it does not.
    """
    if not _exists(path):
        raise LabelError(path, None, "there is no such file or folder")


def need_utf8(path: Path) -> None:
    """Check that a file name is UTF-8, because reports and requests contain it.

    Raises:
        LabelError: it is not.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise LabelError(path, None, "has a name that is not UTF-8: rename it") from error


def is_file(path: Path) -> bool:
    """Whether this file exists; false for names that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def need_picture(path: Path, line: int | None, picture: Path) -> None:
    """Check that a picture exists and is readable, before anything is measured.

    Raises:
        LabelError: it is not; the message names the label file and the line.
    """
    try:
        with picture.open("rb"):
            pass
    except FileNotFoundError as error:
        raise LabelError(path, line, f"there is no picture {picture}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LabelError(path, line, f"cannot read the picture {picture}: {reason}") from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False

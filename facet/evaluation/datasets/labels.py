"""What readers of labels have in common."""

from __future__ import annotations

from pathlib import Path

MOST_PIXELS = 1e9
"""Coordinates beyond it are of no picture."""


class LabelError(Exception):
    """A file of labels cannot be used; the message names the file, and the line where one is to blame."""

    def __init__(self, path: Path, line: int | None, problem: str) -> None:
        where = str(path) if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {problem}".encode("utf-8", "backslashreplace").decode("utf-8"))


def read_text(path: Path) -> str:
    """The text of a file of labels, a byte order mark dropped.

    Raises:
        LabelError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(path, None, f"is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise LabelError(path, None, f"cannot be read: {error.strerror}") from error


def need_folder(path: Path) -> None:
    """Make sure that a folder of pictures is there.

    Raises:
        LabelError: it is not, or is no folder.
    """
    if not _exists(path):
        raise LabelError(path, None, "there is no such folder")
    if not path.is_dir():
        raise LabelError(path, None, "is no folder")


def need_labels(path: Path) -> None:
    """Make sure that there are labels, in a file or in a folder.

    Raises:
        LabelError: there are none.
    """
    if not _exists(path):
        raise LabelError(path, None, "there is no such file or folder")


def need_utf8(path: Path) -> None:
    """Make sure that the name of a file is text, as reports and requests have to name it.

    Raises:
        LabelError: it is not UTF-8.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise LabelError(path, None, "has a name that is not UTF-8: rename it") from error


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is of none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def need_picture(path: Path, line: int | None, picture: Path) -> None:
    """Make sure that a picture is there and can be read, before anything is measured.

    Raises:
        LabelError: it is not; the message names the file of labels and the line.
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

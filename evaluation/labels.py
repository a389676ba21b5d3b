"""What readers of labels have in common."""

from __future__ import annotations

from pathlib import Path


class LabelError(Exception):
    """A file of labels cannot be used; the message names the file, and the line where one is to blame."""

    def __init__(self, path: Path, line: int | None, problem: str) -> None:
        where = str(path) if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {problem}")


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

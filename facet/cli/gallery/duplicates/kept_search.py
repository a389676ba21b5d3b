"""A search for duplicates in a file, so that it goes on after Ctrl-C."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from facet import DuplicateSearch
from facet.terminal import private_files
from facet.v1 import gallery_service_pb2 as pb

_VERSION = 1
_SECONDS_BETWEEN = 15.0


class NotKept(Exception):
    """The file is not one of this search."""


class KeptSearch:
    """A search, and the file that it is kept in.

    Args:
        path: the file; ``None`` to keep nothing.
        settings: what the search is for. A file of another search is refused.
        max_findings: how many findings are kept.

    Attributes:
        search: the search, as far as the file has it.

    Raises:
        NotKept: the file is of another search, or not of a search.
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any], max_findings: int) -> None:
        self._path = path
        self._settings = settings
        self._written = time.monotonic()
        self.search = DuplicateSearch(max_findings)
        if path is not None and path.exists():
            self._read(path, max_findings)

    def keep(self, *, now: bool = False) -> None:
        """Write the file, unless that was done a moment ago.

        Raises:
            OSError: it cannot be written.
        """
        if self._path is None or not (now or time.monotonic() > self._written + _SECONDS_BETWEEN):
            return
        kept = {
            "facet_duplicates": _VERSION,
            "settings": self._settings,
            "resume_token": self.search.resume_token,
            "findings": [MessageToDict(each, preserving_proto_field_name=True) for each in self.search.findings],
        }
        private_files.write(self._path, json.dumps(kept))
        self._written = time.monotonic()

    def finish(self) -> None:
        """Remove the file, because the search is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self, path: Path, max_findings: int) -> None:
        try:
            kept = json.loads(path.read_text("utf-8"))
            if kept["facet_duplicates"] != _VERSION:
                raise NotKept(f"{path} was written by another version: remove it to begin again")
            if kept["settings"] != self._settings:
                raise NotKept(
                    f"{path} keeps another search ({_said(kept['settings'])}): name another file, or remove it"
                )
            findings = [ParseDict(each, pb.DuplicateFinding(), ignore_unknown_fields=True) for each in kept["findings"]]
            token = kept["resume_token"]
        except (ValueError, KeyError, TypeError, AttributeError, ParseError) as error:
            raise NotKept(f"{path} does not keep a search for duplicates: name another file") from error
        self.search = DuplicateSearch(max_findings, resume_token=token, findings=findings)


def _said(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())

"""``facet people show``. The client is a stand-in: no server runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facet.cli.people.app import app
from facet.terminal.connection import Connection
from facet.v1 import gallery_service_pb2 as pb

PICTURE = b"a picture"


class Server:
    """Knows one person with one template."""

    def get_subject(self, *_: object) -> pb.Subject:
        return pb.Subject(subject_id="ann")

    def iter_templates(self, *_: object) -> Iterator[pb.Template]:
        yield pb.Template(template_id="1", picture_sha256=hashlib.sha256(PICTURE).hexdigest())


def test_devices_and_pipes_are_reported_and_not_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def connect(*_: object) -> Iterator[Server]:
        yield Server()

    monkeypatch.setattr(Connection, "open", connect)
    (tmp_path / "a.jpg").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").write_bytes(PICTURE)
    done = CliRunner().invoke(app, ["show", "ann", "--pictures", str(tmp_path), "--json"])
    (template,) = json.loads(done.stdout)["templates"]
    assert template["picture_path"] == str(tmp_path / "c.jpg")
    assert done.stderr.count("not a regular file") == 2

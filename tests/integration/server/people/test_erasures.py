"""ListErasures and facet people erasure-report: what a real server tells about what it has erased."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from facet import LARGEST, Client, InvalidArgument
from facet.v1 import gallery_service_pb2 as pb
from gallery.stores.sqlite.erasure_records.byte_search import ByteSearch
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving, Start

ROOT = Path(__file__).resolve().parents[4]
PIECE = 1 << 24


@dataclass(frozen=True, slots=True)
class Erased:
    """A server that has forgotten somebody.

    Attributes:
        serving: the server. It overwrites the memory that it frees.
        values: parts of the embedding and of the crop.
    """

    serving: Serving
    values: list[bytes]

    @property
    def address(self) -> str:
        return self.serving.address


@pytest.fixture(scope="module")
def erased(start: Start, tmp_path_factory: pytest.TempPathFactory, pictures: Pictures) -> Iterator[Erased]:
    """A server with a gallery of two people with crops, one of whom is forgotten."""
    folder = tmp_path_factory.mktemp("erased")
    serving = start(folder, "--enrollment.keep-crops", environment={"MALLOC_PERTURB_": "165"})
    values = []
    try:
        with Client(serving.address) as client:
            client.create_gallery("team")
            client.enroll("team", "yao", pictures.yaoming, display_name="Yao Ming", request_id="a-request-of-yao")
            client.enroll("team", "zed", pictures.players, face=LARGEST, display_name="Zed")
            for part in client.export_subject("team", "yao"):
                embedding = np.array(part.template.embedding.values, "<f4").tobytes()
                values += [value[1000:1064] for value in (embedding, part.template.crop) if value]
            client.delete_subject("team", "yao")
            until(lambda: all(each.outcome != pb.ERASURE_OUTCOME_PENDING for each in client.iter_erasures()))
        yield Erased(serving, values)
    finally:
        serving.stop()


def readable_memory(process: int) -> Iterator[bytes]:
    """The memory of a process that can be read and written, in pieces that overlap."""
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{process}/maps").read_text("utf-8").splitlines():
            where, rights, *_ = line.split()
            start, end = (int(each, 16) for each in where.split("-"))
            for position in range(start, end, PIECE) if rights.startswith("rw") else ():
                with suppress(OSError):  # it is gone in the meantime
                    memory.seek(position)
                    yield memory.read(min(PIECE + 64, end - position))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc, which overwrites freed memory")
def test_no_living_object_holds_what_was_erased(erased: Erased) -> None:
    search = ByteSearch(erased.values)
    process = erased.serving.process.pid

    def left() -> set[int]:
        return {number for piece in readable_memory(process) for number in search.in_bytes(piece)}

    assert len(erased.values) == 2
    until(lambda: not left(), "an erased embedding or crop stays in memory")


def report(address: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "enroll.py"), "erasure-report", *map(str, arguments)]
    return subprocess.run([*command, "--address", address], capture_output=True, text=True, timeout=120, check=False)


def test_an_auditor_gets_a_report_and_can_compare_it_later(erased: Erased, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    made = report(erased.address, "--gallery", "team", "--subject", "yao", "--json", "--output", path)
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    (erasure,) = said["erasures"]
    assert (erasure["cause"], erasure["outcome"]) == ("ERASURE_CAUSE_SUBJECT_DELETED", "ERASURE_OUTCOME_NOT_FOUND")
    assert [erasure[name] for name in ("subjects", "templates", "crops", "requests")] == ["1", "1", "1", "1"]
    assert erasure["bytes_searched"] == erasure["bytes_present"]
    assert [each["kind"] for each in said["copies"]] == ["access_report"]
    assert "yao" not in made.stdout.lower()
    assert path.stat().st_mode & 0o777 == 0o600
    shown = report(erased.address)
    assert "person forgotten" in " ".join(shown.stdout.split())
    assert said["sha256"] in shown.stdout

    assert report(erased.address, "--verify", path).returncode == 0
    said["erasures"][0]["templates"] = "0"
    path.write_text(json.dumps(said), "utf-8")
    changed = report(erased.address, "--verify", path)
    assert changed.returncode == 1
    assert "was changed" in changed.stdout
    assert "1 different" in changed.stdout
    path.write_text("{}", "utf-8")
    assert report(erased.address, "--verify", path).returncode == 2


def test_nothing_is_recorded_of_somebody_who_is_still_there(erased: Erased) -> None:
    there = report(erased.address, "--gallery", "team", "--subject", "zed")
    assert there.returncode == 1
    assert "no erasure is recorded" in there.stdout
    assert report(erased.address, "--subject", "zed").returncode == 2


def test_wrong_fields_are_refused(client: Client) -> None:
    for request in (
        pb.ListErasuresRequest(subject_id="yao"),
        pb.ListErasuresRequest(gallery_id="team", page_token="none of mine"),
        pb.ListErasuresRequest(page_size=1001),
    ):
        with pytest.raises(InvalidArgument):
            client.galleries.ListErasures(request)

"""ListErasures and facet people erasure-report: what a real server tells about what it has erased."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import LARGEST, Client, InvalidArgument
from facet.v1 import gallery_service_pb2 as pb
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def serving(serve: Serve, pictures: Pictures) -> Serving:
    """A server with a gallery of two people with crops, one of whom is forgotten."""
    started = serve("--enrollment.keep-crops")
    with Client(started.address) as client:
        client.create_gallery("team")
        client.enroll("team", "yao", pictures.yaoming, display_name="Yao Ming", request_id="a-request-of-yao")
        client.enroll("team", "zed", pictures.players, face=LARGEST, display_name="Zed")
        assert len(b"".join(client.export_gallery("team"))) > 0
        client.delete_subject("team", "yao")
        until(lambda: all(each.outcome != pb.ERASURE_OUTCOME_PENDING for each in client.iter_erasures()))
    return started


def report(address: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "enroll.py"), "erasure-report", *map(str, arguments)]
    return subprocess.run([*command, "--address", address], capture_output=True, text=True, timeout=120, check=False)


def test_an_auditor_gets_a_report_and_can_compare_it_later(serving: Serving, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    made = report(serving.address, "--gallery", "team", "--subject", "yao", "--json", "--output", path)
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    (erasure,) = said["erasures"]
    assert (erasure["cause"], erasure["outcome"]) == ("ERASURE_CAUSE_SUBJECT_DELETED", "ERASURE_OUTCOME_NOT_FOUND")
    assert [erasure[name] for name in ("subjects", "templates", "crops", "requests")] == ["1", "1", "1", "1"]
    assert erasure["bytes_searched"] == erasure["bytes_present"]
    assert [each["kind"] for each in said["copies"]] == ["export"]
    assert "yao" not in made.stdout.lower()
    assert path.stat().st_mode & 0o777 == 0o600
    shown = report(serving.address)
    assert "person forgotten" in " ".join(shown.stdout.split())
    assert said["sha256"] in shown.stdout

    assert report(serving.address, "--verify", path).returncode == 0
    said["erasures"][0]["templates"] = "0"
    path.write_text(json.dumps(said), "utf-8")
    changed = report(serving.address, "--verify", path)
    assert changed.returncode == 1
    assert "was changed" in changed.stdout
    assert "1 different" in changed.stdout
    path.write_text("{}", "utf-8")
    assert report(serving.address, "--verify", path).returncode == 2


def test_nothing_is_recorded_of_somebody_who_is_still_there(serving: Serving) -> None:
    there = report(serving.address, "--gallery", "team", "--subject", "zed")
    assert there.returncode == 1
    assert "no erasure is recorded" in there.stdout
    assert report(serving.address, "--subject", "zed").returncode == 2


def test_wrong_fields_are_refused(client: Client) -> None:
    for request in (
        pb.ListErasuresRequest(subject_id="yao"),
        pb.ListErasuresRequest(gallery_id="team", page_token="none of mine"),
        pb.ListErasuresRequest(page_size=1001),
    ):
        with pytest.raises(InvalidArgument):
            client.galleries.ListErasures(request)

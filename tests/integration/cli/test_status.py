"""scripts/status.py: tables for people, JSON for programs."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from facet import Client, NotFound

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_server_that_serves_is_shown_with_its_latencies(
    run_script: Run, server: Serving, client: Client, gallery: str, pictures: Pictures
) -> None:
    client.identify(gallery, pictures.yaoming)
    shown = run_script("status.py", "--address", server.address)
    assert shown.returncode == 0, shown.stderr
    for expected in ("SERVING", "Facet", "workers busy", "since start", "last minute", "p99", "yolo11n.onnx", "embed"):
        assert expected in shown.stdout
    assert not shown.stderr
    assert max(map(len, shown.stdout.splitlines()[:-1])) <= 80, "only the versions may be longer"


def test_for_a_program_it_is_a_line_of_json(
    run_script: Run, server: Serving, client: Client, gallery: str, pictures: Pictures
) -> None:
    client.identify(gallery, pictures.yaoming)
    said = run_script("status.py", "--address", server.address, "--json")
    assert said.returncode == 0, said.stderr
    status = json.loads(said.stdout)
    assert (status["health"], status["address"]) == ("SERVING", server.address)
    assert status["uptime_s"] >= 0
    assert status["queue"].keys() == {"waiting", "max_waiting", "busy", "workers"}
    assert {model["role"] for model in status["models"]} == {"objects", "faces", "embedding"}
    detect = status["stages"]["detect"]["since_start"]
    assert detect["count"] >= 1
    assert detect["p50_ms"] <= detect["p95_ms"] <= detect["p99_ms"]
    assert (
        status["methods"]["Identify"]["last_minute"]["count"] <= status["methods"]["Identify"]["since_start"]["count"]
    )


def test_throughput_errors_and_galleries_are_shown(run_script: Run, serve: Serve, pictures: Pictures) -> None:
    serving = serve("--models.objects", "none")
    with Client(serving.address) as client:
        client.create_gallery("team")
        client.enroll("team", "yao", pictures.yaoming)
        client.identify("team", pictures.yaoming)
        for _ in range(2):
            with pytest.raises(NotFound):
                client.identify("nobody", pictures.yaoming)
    status = json.loads(run_script("status.py", "--address", serving.address, "--json").stdout)
    (error,) = status["errors"]
    assert (error["code"], error["reason"], error["since_start"]) == ("NOT_FOUND", "GALLERY_NOT_FOUND", 2)
    assert status["requests_per_s"].keys() == {"answered", "refused", "failed"}
    assert status["open_streams"] == {}
    assert status["galleries"]["count"] == 1
    (team,) = status["galleries"]["largest"]
    assert (team["gallery_id"], team["subjects"], team["templates"]) == ("team", 1, 1)
    shown = run_script("status.py", "--address", serving.address).stdout
    for expected in ("answered", "refused", "failed", "open streams", "GALLERY_NOT_FOUND", "team"):
        assert expected in shown


def test_a_server_that_does_not_answer_is_a_failure(run_script: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    shown = run_script("status.py", "--address", address)
    assert shown.returncode == 1
    assert "UNREACHABLE" in shown.stdout
    said = run_script("status.py", "--address", address, "--json")
    assert said.returncode == 1
    assert json.loads(said.stdout)["health"] == "UNREACHABLE"


def test_a_missing_and_a_wrong_token_are_told_apart(run_script: Run, serve: Serve) -> None:
    serving = serve("--server.token", "t", "--models.objects", "none")
    shown = run_script("status.py", "--address", serving.address)
    assert shown.returncode == 1
    assert "needs a key: set FACET_TOKEN" in shown.stdout
    wrong = run_script("status.py", "--address", serving.address, "--token", "wrong")
    assert wrong.returncode == 1
    assert "refused this key" in wrong.stdout
    assert run_script("status.py", "--address", serving.address, "--token", "t").returncode == 0


def test_an_interval_must_not_be_negative(run_script: Run) -> None:
    assert run_script("status.py", "--watch", "-1").returncode == 2


def test_accepting_how_faces_are_begins_a_new_reference_period(
    run_script: Run, server: Serving, client: Client, gallery: str, pictures: Pictures
) -> None:
    client.identify(gallery, pictures.yaoming)
    drift = ("status.py", "--address", server.address, "--drift", "--gallery", gallery, "--json")

    def reference_faces(*options: str) -> int:
        said = run_script(*drift, *options)
        assert said.returncode == 0, said.stderr
        (source,) = json.loads(said.stdout)["galleries"][0]["sources"]
        return int(source["drift"]["reference_faces"])

    assert reference_faces() == 1
    assert reference_faces("--accept", "all") == 0
    assert reference_faces("--accept", "caller:anonymous", "--accept-since", "2026-01-01") == 1, "the last call counts"
    assert reference_faces("--accept", "all") == 0
    refused = run_script(*drift, "--accept", "camera:dor")
    assert refused.returncode == 1
    assert f"--accept camera:dor: {gallery} has no faces of such a camera or caller" in refused.stderr
    assert f"facet status --drift --gallery {gallery} lists them" in refused.stderr
    accepted = run_script(
        *drift[:-1], "--accept", "caller:anonymous", "--accept-since", "2026-01-01", "--fail-on-alarm"
    )
    assert accepted.returncode == 0
    assert "new reference period of caller:anonymous from 2026-01-01 00:00 UTC" in accepted.stdout
    assert "nothing is compared yet" in accepted.stdout + accepted.stderr


def test_accepting_needs_a_gallery(run_script: Run) -> None:
    for options in (("--accept", "all"), ("--drift", "--accept", "all"), ("--drift", "--accept-since", "2026-01-01")):
        refused = run_script("status.py", *options)
        assert refused.returncode == 2, refused.stderr
        assert "--accept" in refused.stderr

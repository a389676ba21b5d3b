"""Probes of an orchestrator, beside the metrics."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Serve

SECONDS = 30.0


def ask(address: str, path: str) -> tuple[int, str]:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=SECONDS) as answer:
        return answer.status, answer.read().decode()


def ask_while_ok(address: str) -> None:
    """Probe until the answer is another; the server looks at the files every second."""
    until(lambda: ask(address, "/readyz") != (200, "ok\n"))


def test_probes_are_answered_while_all_calls_are_taken(serve: Serve) -> None:
    serving = serve("--models.objects", "none", "--metrics.port", "0", "--server.max-concurrent-calls", "2")
    address = serving.said["metrics_address"]
    with grpc.insecure_channel(serving.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watches: list[Iterator[Message]] = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        for watch in watches:
            next(watch)
        assert ask(address, "/livez") == (200, "ok\n")
        assert ask(address, "/readyz") == (200, "ok\n")
        assert "\nfacet_ready 1.0\n" in ask(address, "/metrics")[1]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask(address, "/other")


def test_a_server_whose_database_is_deleted_is_not_ready(serve: Serve, tmp_path: Path) -> None:
    serving = serve("--models.objects", "none", "--metrics.port", "0")
    address = serving.said["metrics_address"]
    assert ask(address, "/readyz") == (200, "ok\n")
    (tmp_path / "facet.sqlite3").unlink()
    with pytest.raises(urllib.error.HTTPError, match="503") as refused:
        ask_while_ok(address)
    with refused.value as answer:
        assert b"deleted or replaced" in answer.read()
    assert ask(address, "/livez") == (200, "ok\n")
    assert "\nfacet_ready 0.0\n" in ask(address, "/metrics")[1]

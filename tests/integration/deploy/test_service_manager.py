"""A server tells systemd when it serves and when it stops."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet.server.service_manager import READY, STOPPING

if TYPE_CHECKING:
    from tests.conftest import Serve

PATIENCE = 60


@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_service_manager_hears_when_a_server_serves_and_when_it_stops(
    is_abstract: bool, serve: Serve, tmp_path: Path
) -> None:
    name = f"@{tmp_path}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE)
        manager.bind(f"\0{name[1:]}" if is_abstract else name)
        serving = serve("--models.objects", "none", environment={"NOTIFY_SOCKET": name})
        assert manager.recv(4096).decode() == READY
        serving.stop()
        assert manager.recv(4096).decode() == STOPPING


def test_a_server_serves_though_the_service_manager_cannot_be_told(serve: Serve, tmp_path: Path) -> None:
    serving = serve("--models.objects", "none", environment={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert serving.stop() == 0
    assert "the service manager cannot be told" in {line.get("event") for line in serving.log_lines()}

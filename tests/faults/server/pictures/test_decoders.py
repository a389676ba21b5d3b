"""Decoders that end while a server runs."""

from __future__ import annotations

import os
import signal
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client, picture
from facet.v1 import recognition_service_pb2 as pb
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")


def decoders(serving: Serving) -> list[int]:
    """The process ids of its decoders."""
    found = []
    for thread in Path(f"/proc/{serving.process.pid}/task").iterdir():
        for child in (thread / "children").read_text("ascii").split():
            with suppress(FileNotFoundError):
                if b"facet.runtime.decoders.child" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def restarts(serving: Serving) -> float:
    with urllib.request.urlopen(f"http://{serving.said['metrics_address']}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    name = 'facet_decoder_restarts_total{cause="crash"} '
    return float(next(line for line in lines if line.startswith(name)).removeprefix(name))


def has_ended(pid: int) -> bool:
    """Whether a process has ended; its parent may have asked about it already."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2][0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_decoder_that_crashed_is_replaced_and_counted(serve: Serve, pictures: Pictures) -> None:
    serving = serve("--models.objects", "none", "--server.workers", "1", "--metrics.port", "0")
    request = pb.AnalyzeFacesRequest(picture=picture(pictures.yaoming))
    with Client(serving.address) as client:
        assert client.recognition.AnalyzeFaces(request).faces
        assert restarts(serving) == 0
        crashed = decoders(serving)
        assert crashed
        for each in crashed:
            os.kill(each, signal.SIGSEGV)
        until(lambda: all(has_ended(each) for each in crashed))
        assert client.recognition.AnalyzeFaces(request).faces, "the picture is not to blame"
        assert restarts(serving) == 1
    (line,) = [line for line in serving.log_lines() if line["event"] == "a decoder was replaced"]
    assert line["cause"] == "crash"

"""``facet serve --processes``: several processes on one port, with one PostgreSQL."""

from __future__ import annotations

import os
import re
import signal
import socket
import urllib.request
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from facet import CENTRAL, Client, Unavailable
from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from facet.benchmarks.galleries.synthetic_gallery import fill
from facet.client.requests import identify_request
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.server_service_pb2 import GetServerInfoRequest
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Refused, Serve, Serving

URL = "FACET_GALLERY__POSTGRES_URL"
FAILED, USAGE = 1, 2
FLAGS = ("--processes", "2", "--models.objects", "none", "--metrics.port", "0", "--gallery.postgres-schema")


@pytest.fixture
def schema() -> str:
    return f"s{uuid.uuid4().hex}"


def read(serving: Serving, path: str) -> str:
    with urllib.request.urlopen(f"http://{serving.said['metrics_address']}/{path}", timeout=60) as response:
        text: str = response.read().decode()
    return text


def told(serving: Serving, event: str) -> list[int]:
    """The numbers of the processes that logged an event."""
    return sorted(line["process"] for line in serving.log_lines() if line["event"] == event)


def connect_until_both_have_answered(serving: Serving) -> None:
    """The system gives each new connection to one of the processes."""

    def ask() -> bool:
        with suppress(Unavailable), Client(serving.address) as client:
            client.get_server_info()
        return set(told(serving, "call")) == {1, 2}

    until(ask)


def names(serving: Serving, picture: bytes) -> list[str]:
    """The names that a new connection gets for the faces in a picture."""
    with Client(serving.address) as client:
        faces = client.identify("team", picture).faces
    return [face.identification.candidates[0].display_name for face in faces]


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return False


def test_both_processes_answer_and_one_that_is_killed_comes_back(
    serve: Serve, postgres_server: PostgresServer, schema: str, pictures: Pictures, tmp_path: Path
) -> None:
    folder = ("--audit.folder", str(tmp_path / "audit"))
    serving = serve(*FLAGS, schema, *folder, environment={URL: postgres_server.url})
    assert told(serving, "serving") == [1, 2]
    _, second = serving.said["processes"]
    with Client(serving.address) as client:
        client.create_gallery("team")
        client.enroll("team", "yao", pictures.yaoming, face=CENTRAL, display_name="Yao Ming")
    connect_until_both_have_answered(serving)
    metrics = read(serving, "metrics")
    for number in (1, 2):
        assert f'\nfacet_process_up{{process="{number}"}} 1.0\n' in metrics
        assert f'\nfacet_ready{{process="{number}"}} 1.0\n' in metrics
        assert re.search(rf'\nfacet_call_seconds_count{{[^}}]*process="{number}"[^}}]*}} ', metrics)
        assert list((tmp_path / f"audit-{number}").glob("audit-*.jsonl"))
    families = re.findall(r"^# TYPE (\S+)", metrics, re.MULTILINE)
    assert len(families) == len(set(families))
    assert read(serving, "readyz") == "ok\n"

    os.kill(second, signal.SIGKILL)
    until(lambda: read(serving, "readyz") == "DEGRADED: 1 of 2 processes serve\n")
    assert names(serving, pictures.yaoming) == ["Yao Ming"]
    until(lambda: read(serving, "readyz") == "ok\n")
    assert '\nfacet_process_restarts_total{process="2"} 1.0\n' in read(serving, "metrics")
    assert told(serving, "a process serves again") == [2]

    assert serving.stop() == 0
    assert told(serving, "stopped") == [1, 2]


def test_sigterm_drains_all_processes(
    serve: Serve, postgres_server: PostgresServer, schema: str, pictures: Pictures
) -> None:
    serving = serve(*FLAGS, schema, environment={URL: postgres_server.url})
    with Client(serving.address) as client:
        client.create_gallery("team")
        request = identify_request("team", pictures.players)
        items = (pb.IdentifyBatchRequest(item_id=str(number), identification=request) for number in range(100))
        answers = client.recognition.IdentifyBatch(items)
        assert next(answers).identification.faces
        serving.process.terminate()
        with pytest.raises(Unavailable, match="shutting down"):
            assert all(each.status.code == 0 for each in answers)  # what was accepted is answered first
    assert serving.stop() == 0
    assert told(serving, "draining") == told(serving, "stopped") == [1, 2]


def test_the_processes_do_not_outlive_the_one_that_started_them_nor_their_memory_the_next_start(
    serve: Serve, refused: Refused, postgres_server: PostgresServer, schema: str
) -> None:
    serving = serve(*FLAGS, schema, environment={URL: postgres_server.url})
    arguments = Path(f"/proc/{serving.said['processes'][0]}/cmdline").read_text("utf-8").split("\0")
    memory = Path(arguments[arguments.index("--gallery.snapshot-dir") + 1])
    serving.process.kill()
    until(lambda: not any(map(is_alive, serving.said["processes"])))
    serving.process.wait()
    assert refused("--models.objects", "nowhere.onnx").returncode == FAILED
    assert not memory.exists()


def test_the_processes_share_the_memory_of_a_large_gallery(
    serve: Serve, postgres_server: PostgresServer, schema: str, client: Client
) -> None:
    from gallery.stores.postgres.postgres_store import PostgresStore

    contract = client.server.GetServerInfo(GetServerInfoRequest()).contract
    vectors = np.random.default_rng(7).standard_normal((17_000, 512), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = PostgresStore(postgres_server.url, schema=schema)
    fill(store, vectors, contract)
    store.close()
    serving = serve(*FLAGS, schema, environment={URL: postgres_server.url})
    one, two = (index_files(pid) for pid in serving.said["processes"])
    assert one == two
    (file,) = one
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert serving.stop() == 0
    assert not file.parent.exists()


def index_files(pid: int) -> set[Path]:
    """The index files that a process has in its memory."""
    lines = Path(f"/proc/{pid}/maps").read_text("utf-8").splitlines()
    return {Path(line.split()[-1]) for line in lines if line.endswith(".index")}


def test_processes_cannot_share_sqlite(refused: Refused) -> None:
    result = refused("--processes", "2")
    assert result.returncode == USAGE
    (line,) = result.stderr.splitlines()
    assert "server.processes is 2, and only one process can open a database of SQLite" in line
    assert "set gallery.postgres_url (docs/scale.md), or leave server.processes at 1" in line


def test_what_keeps_the_processes_from_starting_is_said_once(refused: Refused) -> None:
    url = "postgresql://facet:hidden@127.0.0.1:1/facet"
    result = refused(*FLAGS[:2], "--server.port", "0", "--models.objects", "none", environment={URL: url})
    assert result.returncode == FAILED
    (line,) = [each for each in result.stderr.splitlines() if "serve: " in each]
    assert "Connection refused" in line
    assert not result.stdout


@pytest.mark.parametrize(
    ("setting", "said"), [("--server.port", "cannot listen on"), ("--metrics.port", "cannot serve metrics on")]
)
def test_a_port_that_another_program_has_is_refused(setting: str, said: str, refused: Refused) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        url = "postgresql://facet@127.0.0.1:1/facet"
        result = refused(*FLAGS[:2], "--server.port", "0", setting, port, environment={URL: url})
    assert result.returncode == FAILED
    (line,) = result.stderr.splitlines()
    assert f"{said} 127.0.0.1:{port}: " in line
    assert "address already in use" in line.lower()

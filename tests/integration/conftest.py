"""Ultralytics, for the tests that compare with it, and a Milvus server, for those that keep galleries in it."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.milvus_server import MilvusServer


@pytest.fixture(scope="module")
def ultralytics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The module, kept from the network; without the extra a test is skipped, or fails where REQUIRE_EXPORT is set."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("YOLO_AUTOINSTALL", "False")
        environment.setenv("YOLO_OFFLINE", "True")
        environment.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("ultralytics")))
        if not os.environ.get("REQUIRE_EXPORT"):
            for name in ("onnx", "ultralytics"):
                pytest.importorskip(name, reason="needs the extra export: pip install -e '.[export]'")
        importlib.import_module("onnx")
        yield importlib.import_module("ultralytics")


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


def need_milvus(*packages: str) -> None:
    for package in packages:
        if os.environ.get("REQUIRE_MILVUS"):
            importlib.import_module(package)
        else:
            pytest.importorskip(package, reason=f"needs the package {package.replace('_', '-')}")

"""Ultralytics, for the tests that compare with it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any

import pytest


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

"""What the inference engines do besides inference."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
PATIENCE = 60
OPENVINO = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is for x86 only")


@pytest.mark.parametrize(
    ("module", "engine"),
    [
        ("facet.runtime.inference.session", "onnxruntime"),
        ("facet.runtime.inference.providers", "onnxruntime"),
        pytest.param("facet.runtime.inference.openvino_session", "openvino", marks=OPENVINO),
        ("facet.cli.serve", "onnxruntime"),
    ],
)
def test_no_engine_collects_usage_data(module: str, engine: str, tmp_path: Path) -> None:
    program = f"import sys, {module}; sys.exit({engine!r} not in sys.modules)"
    # OpenVINO sends nothing from machines that look like a CI's, so the test's variables are left out.
    environment = {"HOME": str(tmp_path), "PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, timeout=PATIENCE, check=False)
    assert ran.returncode == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

"""How the export script is asked, and what it says without Ultralytics."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facet.cli.models.export_yolo import app
from facet.runtime.extras import install_command


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["yolo11n.onnx"], "expected a .pt checkpoint"),
        (["yolo11n.pt", "--size", "100"], "no multiple of 32"),
        (["yolo11n.pt", "--size", "0"], "--size"),
        (["yolo11n.pt", "--out", "yolo11n.pt"], "does not end in .onnx"),
        ([], "MODEL"),
    ],
)
def test_bad_usage_exits_with_2(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert complaint in result.output


@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is not None, reason="Ultralytics is installed here")
def test_without_ultralytics_one_line_says_how_to_install_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["yolo11n.yaml", "--out", str(tmp_path / "model.onnx")])
    assert result.exit_code == 1
    assert result.output.strip().endswith(install_command("export"))
    assert len(result.output.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []

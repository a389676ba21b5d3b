"""Identification through evaluate.py, and its run when the server goes away."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from facet import AsyncClient, Unavailable
from facet.cli.models.compare.models import embed
from facet.evaluation.comparison.answers import outcomes
from facet.evaluation.comparison.labelled_set import LabelledSet
from facet.evaluation.datasets.protocol import Protocol, read_protocol
from facet.evaluation.identification.figures import Outcomes
from facet.evaluation.identification.report import IdentificationReport
from facet.evaluation.identification.run import IdentificationRun, run_identification
from facet.evaluation.report.document import document
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.settings import ModelSettings

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving


Run = Callable[..., "subprocess.CompletedProcess[str]"]
UnknownFigures = Callable[[dict[str, Any]], list[str]]
GalleriesLeft = Callable[[], list[str]]


@pytest.fixture
def run(run_script: Run) -> Run:
    return partial(run_script, "evaluate.py", "identification")


def protocol(folder: Path, *lines: str) -> Path:
    path = folder / "protocol.csv"
    path.write_text("\n".join(("role,subject,image", *lines)), "utf-8")
    return path


def value(report: dict[str, Any], name: str) -> float | None:
    found: float | None = report[name]["value"]
    return found


def test_every_probe_counts_and_no_gallery_is_left_behind(
    run: Run,
    server: Serving,
    galleries_left: GalleriesLeft,
    images: Path,
    tmp_path: Path,
    unknown_figures: UnknownFigures,
) -> None:
    path = protocol(
        tmp_path,
        "gallery,Yao Ming,yaoming.jpg",
        "gallery,Nobody,wall.png",
        "mated,Yao Ming,mirrored.png",
        "mated,Yao Ming,wall.png",
        "mated,Nobody,gdp.jpg",
        "nonmated,Somebody,gdp.jpg",
        "nonmated,Ghost,wall.png",
    )
    done = run("--protocol", path, "--images", images, "--address", server.address, "--json", "--mistakes", 5)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert unknown_figures(report) == []
    assert value(report, "rank_1") == value(report, "rank_10") == pytest.approx(1 / 3)
    assert value(report, "fnir") == pytest.approx(2 / 3)
    assert (value(report, "fpir"), value(report, "precision")) == (0.0, 1.0)
    assert report["fnir@fpir=0.1"]["value"] is None
    assert report["fnir@fpir=0.1"]["note"] == "too few nonmated probes: 2, at least 10 needed"
    assert report["rank_1"]["low"] <= 1 / 3 <= report["rank_1"]["high"]
    assert (report["gallery"], report["templates"], report["mated"], report["nonmated"]) == (2, 1, 3, 2)
    assert (report["failed_to_detect"], report["failed_to_search"], report["failed_to_enroll"]) == (2, 2, 1)
    assert (report["subjects_not_enrolled"], value(report, "failure_to_acquire")) == (1, 0.4)
    assert report["not_enrolled"] == [{"image": "wall.png", "subject": "Nobody", "reason": "FACE_NOT_FOUND"}]
    assert report["deployed_threshold"] == 0.34
    assert report["refused"] == []
    assert report["partial"] is False
    misses = report["mistakes"]["misses"]
    assert [(each["image"], each["candidate_image"], each["mate_image"]) for each in misses] == [
        ("wall.png", None, "yaoming.jpg"),
        ("gdp.jpg", "yaoming.jpg", None),
    ]
    assert [(each["image"], each["rank"], each["failure"]) for each in report["items"]] == [
        ("mirrored.png", 1, ""),
        ("wall.png", None, "FACE_NOT_FOUND"),
        ("gdp.jpg", None, ""),
        ("gdp.jpg", None, ""),
        ("wall.png", None, "FACE_NOT_FOUND"),
    ]
    assert [row["templates"] for row in report["tables"]["by_templates"]] == ["0", "1"]
    assert galleries_left() == []


def test_two_runs_differ_only_in_their_times(run: Run, server: Serving, images: Path, tmp_path: Path) -> None:
    path = protocol(tmp_path, "gallery,Yao Ming,yaoming.jpg", "mated,Yao Ming,mirrored.png", "nonmated,X,gdp.jpg")
    arguments = ("--protocol", path, "--images", images, "--address", server.address, "--json", "--mistakes", 5)
    first, second = (json.loads(run(*arguments).stdout) for _ in range(2))
    assert first.pop("times") != {}
    second.pop("times")
    assert first == second


def test_folders_are_a_protocol_and_max_templates_limits_the_enrolled_pictures(
    run: Run, server: Serving, images: Path, pictures: Pictures, tmp_path: Path
) -> None:
    train, test = tmp_path / "train", tmp_path / "test"
    for picture, to in (
        ("gdp.jpg", train / "yao/1.jpg"),
        ("yaoming.jpg", train / "yao/2.jpg"),
        ("mirrored.png", test / "yao3.png"),
        ("gdp.jpg", test / "somebody/1.jpg"),
    ):
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes((images / picture).read_bytes())
    arguments = ("--gallery", train, "--probes", test, "--address", server.address, "--json", "--accept-lookalike")
    both = json.loads(run(*arguments).stdout)
    assert (both["gallery"], both["templates"], value(both, "rank_1"), value(both, "recall")) == (2, 2, 1.0, 1.0)
    assert [row["templates"] for row in both["tables"]["by_templates"]] == ["2"]
    done = run(*arguments, "--max-templates", 1)
    one = json.loads(done.stdout)
    assert (one["gallery"], one["templates"], value(one, "recall")) == (1, 1, 0.0)
    assert one["provenance"]["data_set"] == both["provenance"]["data_set"]
    assert [each["image"] for each in one["items"]] == ["probes/somebody/1.jpg", "probes/yao3.png"]
    misses = [(each["image"], each["mate_image"]) for each in one["mistakes"]["misses"]]
    assert misses == [("probes/yao3.png", "gallery/yao/1.jpg")]
    done = run(*arguments, "--max-templates", 1, "--report", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert page.count("data:image/jpeg") == 4
    for text in (page, done.stdout):
        assert str(tmp_path) not in text
        assert tmp_path.name not in text


def test_without_an_address_a_server_is_started_and_tables_are_printed(run: Run, images: Path, tmp_path: Path) -> None:
    path = protocol(tmp_path, "gallery,Yao Ming,yaoming.jpg", "mated,Yao Ming,mirrored.png", "nonmated,X,gdp.jpg")
    done = run("--protocol", path, "--images", images, "--require", "rank_1>=1")
    assert done.returncode == 0, done.stderr
    assert "rank_1" in done.stdout
    assert "Error by gallery size" in done.stdout
    assert "Error by templates per subject" in done.stdout


def test_an_unmet_requirement_fails_the_run(run: Run, server: Serving, images: Path, tmp_path: Path) -> None:
    path = protocol(tmp_path, "gallery,Yao Ming,yaoming.jpg", "mated,Yao Ming,mirrored.png", "nonmated,X,gdp.jpg")
    arguments = ("--protocol", path, "--images", images, "--address", server.address)
    done = run(*arguments, "--require", "fnir@fpir=0.01<=0.02")
    assert done.returncode == 1
    assert "fnir@fpir=0.01" in done.stderr


def test_errors_are_told_by_group_and_can_be_required(
    run: Run, server: Serving, images: Path, tmp_path: Path, unknown_figures: UnknownFigures
) -> None:
    path = protocol(tmp_path, "gallery,Yao Ming,yaoming.jpg", "mated,Yao Ming,mirrored.png", "nonmated,X,gdp.jpg")
    groups = tmp_path / "groups.csv"
    groups.write_text("subject,height\nYao Ming,> 2 m\n", "utf-8")
    arguments = ("--protocol", path, "--images", images, "--groups", groups)
    done = run(*arguments, "--address", server.address, "--json", "--require", "fnir[height=> 2 m]<=0.1")
    assert done.returncode == 1
    assert "fnir[height=> 2 m] has no value (too few people: 1, at least 10 needed)" in done.stderr
    report = json.loads(done.stdout)
    assert [name for name in unknown_figures(report) if not name.endswith("]")] == []
    assert report["groups"]["height"]["not_stated"] == ["X"]
    assert [row["fpir_trials"] for row in report["groups"]["height"]["rows"]] == [0, 1]
    assert report["provenance"]["configuration"]["groups"]["file"] == "groups.csv"


def test_a_groups_file_with_an_unknown_subject_fails_with_its_line(run: Run, images: Path, tmp_path: Path) -> None:
    path = protocol(tmp_path, "gallery,Yao Ming,yaoming.jpg", "mated,Yao Ming,mirrored.png")
    groups = tmp_path / "groups.csv"
    groups.write_text("subject,height\nYao,tall\n", "utf-8")
    done = run("--protocol", path, "--images", images, "--groups", groups)
    assert done.returncode == 1
    assert f"{groups}, line 2: 'Yao' is no subject of this set such as 'Yao Ming'" in done.stderr


def test_a_refused_picture_counts_as_missed_and_fails_the_run(
    run: Run, server: Serving, images: Path, tmp_path: Path
) -> None:
    path = protocol(tmp_path, "gallery,Yao Ming,yaoming.jpg", "mated,Yao Ming,broken.jpg", "nonmated,X,gdp.jpg")
    done = run("--protocol", path, "--images", images, "--address", server.address, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert value(report, "rank_1") == 0.0
    assert report["refused"] == [{"image": "broken.jpg", "reason": "INVALID_PICTURE"}]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["gallery,Yao Ming,yaoming.jpg", "probe,Yao Ming,gdp.jpg"], "line 3: role is 'probe'"),
        (["gallery,Yao Ming,nowhere.jpg"], "line 2: there is no picture"),
        (["gallery,Yao Ming,."], "line 2: cannot read the picture"),
        (["gallery,Yao Ming,yaoming.jpg", "mated,Bo,gdp.jpg"], "line 3: 'Bo' is a mated probe"),
    ],
)
def test_a_malformed_protocol_fails_with_file_and_line(
    run: Run, images: Path, tmp_path: Path, lines: list[str], problem: str
) -> None:
    path = protocol(tmp_path, *lines)
    done = run("--protocol", path, "--images", images)
    assert done.returncode == 1
    assert f"{path}, {problem}" in done.stderr


@pytest.mark.parametrize(
    "flags", [(), ("--gallery",), ("--gallery", "--images"), ("--gallery", "--probes", "--images")]
)
def test_a_set_is_given_as_protocol_or_as_folders_but_not_both(run: Run, images: Path, flags: tuple[str, ...]) -> None:
    done = run(*(each for flag in flags for each in (flag, images)))
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["name the set: --protocol with --images, or --gallery with --probes"]


def labelled(folder: Path, images: Path) -> Protocol:
    path = protocol(
        folder,
        *["gallery,Yao Ming,yaoming.jpg", "gallery,Guest,gdp.jpg"] * 4,
        *["mated,Yao Ming,mirrored.png"] * 12,
        *["nonmated,Ghost,wall.png"] * 12,
    )
    return read_protocol(path, images)


async def interrupted(serving: Serving, set_: Protocol, after: int) -> IdentificationRun:
    """A run whose server is stopped after a number of finished pictures."""
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if done == after:
            serving.process.kill()
            serving.process.wait()

    async with AsyncClient(serving.address) as client:
        return await run_identification(client, set_, accept_low_quality=True, accept_lookalike=True, advance=advance)


async def test_a_comparison_of_models_answers_as_the_server_does(
    server: Serving, images: Path, pictures: Pictures, tmp_path: Path
) -> None:
    (images / "players.jpg").write_bytes(pictures.players)
    lines = [f"gallery,{name},{name}" for name in ("yaoming.jpg", "gdp.jpg", "wall.png")]
    lines += ["mated,yaoming.jpg,mirrored.png", "mated,yaoming.jpg,players.jpg", "mated,wall.png,gdp.jpg"]
    set_ = read_protocol(protocol(tmp_path, *lines, "nonmated,Ghost,wall.png", "nonmated,Bo,players.jpg"), images)
    async with AsyncClient(server.address) as client:
        run = await run_identification(
            client, set_, accept_low_quality=True, accept_lookalike=True, advance=lambda: None
        )
    served = Outcomes.from_searches(run.searches)
    models = load_models(ModelSettings())
    roles = LabelledSet(set_, None, "", "").roles
    faces = embed(FacePipeline(models), models.embedder, models.embedder, roles, advance=lambda: None)
    compared = outcomes(set_, faces.a)
    assert np.array_equal(np.isfinite(compared.similarity), np.isfinite(served.similarity))
    assert np.allclose(compared.similarity, served.similarity, atol=1e-5)
    assert compared.rank.tolist() == served.rank.tolist()


async def test_a_server_that_goes_away_while_searching_leaves_the_searches_so_far(
    serve: Serve, images: Path, tmp_path: Path
) -> None:
    set_ = labelled(tmp_path, images)
    run = await interrupted(serve(), set_, after=8 + 6)
    assert run.stopped is not None
    assert (run.stopped.of, len(run.pictures)) == (32, 8)
    assert 6 <= len(run.searches) < 24
    assert run.stopped.done == 8 + len(run.searches)
    assert run.left_behind.startswith("evaluation-")
    built = IdentificationReport(set_, run, seed=0)
    report = document(
        "identification",
        built.figures(),
        stopped=run.stopped,
        curves=built.curves(),
        tables=built.tables(),
        items=built.items(),
        provenance={},
        times={},
    )
    assert (report["partial"], report["done"], report["mated"] + report["nonmated"]) == (
        True,
        run.stopped.done,
        len(run.searches),
    )
    assert report["rank_1"]["value"] == 1.0
    assert report["fpir"]["note"] == "no nonmated probes"


async def test_a_server_that_goes_away_while_enrolling_leaves_counts_without_figures(
    serve: Serve, images: Path, tmp_path: Path
) -> None:
    set_ = labelled(tmp_path, images)
    run = await interrupted(serve(), set_, after=2)
    assert run.stopped is not None
    assert run.searches == ()
    assert 2 <= run.stopped.done == len(run.pictures) <= 8
    built = IdentificationReport(set_, run, seed=0)
    figures = built.figures()
    assert figures["rank_1"].value is None
    assert figures["rank_1"].note == "no mated probes"
    assert figures["failure_to_enroll"].value == 0.0
    assert built.tables() == {"by_gallery_size": [], "by_templates": []}
    assert (built.curves(), built.items()) == ({}, [])


async def test_an_unreachable_server_is_an_error(images: Path, tmp_path: Path) -> None:
    async with AsyncClient("127.0.0.1:1") as client:
        with pytest.raises(Unavailable):
            await run_identification(
                client,
                labelled(tmp_path, images),
                accept_low_quality=True,
                accept_lookalike=True,
                advance=lambda: None,
            )

"""``facet evaluate detection``: whether faces, or objects, are found."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from facet import AsyncClient
from facet.cli.evaluate.shared import output as results
from facet.cli.evaluate.shared import run as running
from facet.cli.evaluate.shared.options import (
    Images,
    Mistakes,
    ReportFolder,
    Require,
    Rotate,
    Search,
    Seed,
)
from facet.cli.evaluate.shared.output import Row, shown, stacked
from facet.cli.evaluate.shared.run import Advance
from facet.evaluation.calls import Answers
from facet.evaluation.datasets import detection_set
from facet.evaluation.datasets.detection_set import Format, Task
from facet.evaluation.datasets.labelled import LabelledSet
from facet.evaluation.detection import average_precision, scrfd640
from facet.evaluation.detection.beside import GAIN, OURS, THEIRS, Comparison, compare_detectors
from facet.evaluation.detection.figures import SIZE_BANDS
from facet.evaluation.detection.matching import match_detections
from facet.evaluation.detection.report import DetectionEvaluation, detection_report, evaluate, refused_pictures
from facet.evaluation.detection.run import EvaluatedPicture, run_detection
from facet.evaluation.detection.scrfd640 import run_scrfd640
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.provenance import data_set, provenance
from facet.runtime.extras import install_command
from facet.terminal import console, tables
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.console import AsJson
from facet.v1.server_service_pb2 import GetServerInfoResponse

IOUS: dict[Task, float] = {"faces": 0.4, "objects": 0.5}
"""Minimum overlap of a match by default."""
MIN_SCORES: dict[Task, float] = {"faces": 0.02, "objects": 0.001}
"""Minimum scores to request by default: those at which such sets are usually evaluated."""

_SIZES: dict[Task, tuple[str, ...]] = {
    "faces": ("20 to 40 pixels high", "40 to 80 pixels high", "80 pixels high or more"),
    "objects": ("below 32x32 pixels", "from 32x32 to 96x96 pixels", "of 96x96 pixels or more"),
}


@dataclass(frozen=True, slots=True)
class _Run:
    """What was requested, and the responses."""

    task: Task
    labelled: LabelledSet
    deployed: float
    min_score: float
    answers: Answers[EvaluatedPicture]
    beside: list[EvaluatedPicture]

    @property
    def evaluated(self) -> list[EvaluatedPicture]:
        return list(self.answers.by_item.values())


@grouped_options
def detection(
    labels: Annotated[
        Path,
        typer.Option(help="Labels: WIDER FACE text, COCO JSON, or a folder of YOLO text files.", show_default=False),
    ],
    images: Images,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format", help="Format of the labels. Default: yolo for a folder, coco for .json, wider for .txt."
        ),
    ] = None,
    task: Annotated[
        Task | None,
        typer.Option(help="What to evaluate. Default: faces if the labels have no other class, else objects."),
    ] = None,
    classes: Annotated[
        str, typer.Option(help="Only these classes of objects, as in person,car. Default: all that the labels have.")
    ] = "",
    names: Annotated[
        Path | None,
        typer.Option(
            help="Names of YOLO classes: data.yaml, or a text file with a name per line. Default: the server's."
        ),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Skip pictures that the labels list and the folder lacks, for a subset of a set."
        ),
    ] = False,
    *,
    target: running.Target,
    iou: Annotated[
        float | None,
        typer.Option(
            min=0.05, max=1, help="Minimum overlap (IoU) of a match. Default: 0.4 for faces, 0.5 for objects."
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=1, help="Minimum score to request, for AP. Default: 0.02 for faces, 0.001 for objects."
        ),
    ] = None,
    rotate: Rotate = "0",
    search: Search = "fast",
    beside: Annotated[
        Literal["scrfd640"] | None,
        typer.Option(
            metavar="scrfd640", help="Compare faces with InsightFace's SCRFD at 640x640, on the same pictures."
        ),
    ] = None,
    mistakes: Mistakes = 10,
    seed: Seed = 0,
    report: ReportFolder = None,
    require: Require = None,
    as_json: AsJson = False,
) -> None:
    """Are faces, or objects, found? Precision and recall at the deployed score, and average precision.

    Everything labelled in a picture counts as missed if the picture is refused, or if the folder lacks it.

    [b]Examples[/b]

      facet evaluate detection --labels coco/labels --images coco/images
      facet evaluate detection --labels wider.txt --images wider/ --report out/
      facet evaluate detection --labels wider.txt --images wider --beside scrfd640

    Exit code: 0 done, 1 something failed or a [b]--require[/b] is not met, 2 bad usage.
    """
    out = results.output("detection", as_json, report, require)
    if not average_precision.is_available():
        console.fail(f"average precision needs pycocotools: {install_command('evaluation')}")
    if beside and not scrfd640.is_available():
        console.fail(f"--beside {beside} needs insightface: {install_command('benchmarks')}")
    kind = running.labels(lambda: format_ or detection_set.guessed_format(labels))
    if names and kind != "yolo":
        console.fail("--names is for YOLO labels: the other formats name their classes", console.USAGE)
    listed = running.labels(lambda: detection_set.read_set(labels, kind, images, names))
    pictures = {each.image: images / each.image for each in listed.there().pictures}
    data = running.labels(lambda: data_set(labels, pictures))
    if allow_missing:
        listed = listed.there()
    wanted = [name.strip() for name in classes.split(",") if name.strip()]

    async def measure(client: AsyncClient, advance: Advance) -> _Run:
        info = await client.get_server_info()
        what, labelled = _to_judge(listed, labels, task, wanted, info)
        if beside and what != "faces":
            console.fail(f"--beside {beside} is for faces, not for {what}", console.USAGE)
        deployed = info.face_min_score if what == "faces" else info.object_min_score
        least = min(MIN_SCORES[what] if min_score is None else min_score, deployed)
        turn, thorough = int(rotate), search == "thorough"
        answers = await run_detection(
            client, labelled, images, task=what, min_score=least, rotate=turn, thorough=thorough, advance=advance
        )
        others = []
        if beside:
            done = [each.labels for each in answers.by_item.values()]
            others = await asyncio.to_thread(run_scrfd640, done, images, min_score=least, rotate=turn, advance=advance)
        return _Run(what, labelled, deployed, least, answers, others)

    steps = len(listed.pictures) * (2 if beside else 1)
    done = running.labels(lambda: running.measured(target, "Looking", steps, measure))
    run = done.run
    overlap = IOUS[run.task] if iou is None else iou
    evaluation = evaluate(
        run.evaluated,
        task=run.task,
        class_names=run.labelled.class_names or (),
        iou=overlap,
        deployed_score=run.deployed,
        min_score=run.min_score,
        seed=seed,
    )
    parts = detection_report(evaluation, mistakes=mistakes)
    compared = _compared(run, evaluation)
    missing = {"images_missing": len(listed.missing), "images_unlabelled": listed.unlabelled, "iou": overlap}
    configuration = {
        "format": kind,
        "allow_missing": allow_missing,
        "rotate": int(rotate),
        "search": search,
        "beside": beside,
        "task": run.task,
        "classes": run.labelled.class_names,
        "iou": overlap,
    }
    origin = provenance(done.info, data=data, configuration=configuration | {"min_score": run.min_score}, seed=seed)
    origin["software"]["evaluation"]["pycocotools"] = importlib.metadata.version("pycocotools")
    built = document(
        "detection",
        parts.figures | missing | compared.figures,
        stopped=run.answers.stopped,
        curves=parts.curves,
        tables=parts.tables | ({"beside": compared.rows} if beside else {}),
        mistakes=parts.mistakes,
        refused=refused_pictures(run.evaluated),
        items=parts.items,
        provenance=origin,
        times=done.times,
    )
    results.finish(built, out, pictures, _show, problems=_nothing_to_find(built))


def _to_judge(
    listed: LabelledSet, labels: Path, task: Task | None, classes: list[str], info: GetServerInfoResponse
) -> tuple[Task, LabelledSet]:
    """What to evaluate, and its labels."""
    named = listed.named(info.class_names, labels)
    what = task or ("objects" if classes else detection_set.guessed_task(named))
    if what == "objects":
        return what, detection_set.objects_of(named, labels, classes, info.class_names)
    if classes:
        console.fail("--classes is for objects: faces have one class", console.USAGE)
    return what, detection_set.faces_of(named, labels)


def _compared(run: _Run, evaluation: DetectionEvaluation) -> Comparison:
    """Our detections compared with those of the other detector; empty without one."""
    if not run.beside:
        return Comparison({}, [])
    others = [match_detections(each.labels, each.detections, iou=evaluation.iou) for each in run.beside]
    return compare_detectors(
        evaluation.pictures,
        others,
        deployed_score=run.deployed,
        default_score=scrfd640.DEFAULT_SCORE,
        seed=evaluation.seed,
    )


def _nothing_to_find(report: Report) -> Iterator[str]:
    if not report[report["task"]]:
        yield f"the labels have no {report['task']}: there is no recall and no average precision"


def _show(report: Report) -> None:
    results.print_figures(f"Detection of {report['task']}", _rows(report))
    if rows := report["tables"].get("beside"):
        console.out.print(_beside(rows))
    for name, title in (
        ("false_positives", "False positives with the highest scores"),
        ("misses", "The largest misses"),
    ):
        if rows := report["mistakes"][name]:
            table = tables.table("picture", "box", "what", title=title)
            for each in rows:
                what = f"score {each['score']:.3f}" if "score" in each else f"{each['height']:.0f} pixels high"
                place = " ".join(f"{edge:.0f}" for edge in each["box"])
                table.add_row(tables.Shortened(each["image"]), place, " ".join([each.get("class", ""), what]).strip())
            console.out.print(table)


def _beside(rows: list[dict[str, Any]]) -> Table:
    """Our recall and that of InsightFace's SCRFD where both are equally precise."""
    columns = [tables.number(name) for name in ("faces", OURS, THEIRS, GAIN)]
    table = tables.table(
        "equal precision at", tables.whole("figure"), *columns, title="Beside InsightFace's SCRFD at 640"
    )
    for row in rows:
        figures = ["" if row[name] is None else stacked(row[name]) for name in (OURS, THEIRS, GAIN)]
        table.add_row(row["at"], row["figure"], str(row["faces"] or ""), *figures)
    return table


def _rows(report: Report) -> Iterator[Row]:
    task: Task = report["task"]
    yield "precision", shown(report["precision"]), f"of the returned {task} match a label"
    yield "recall", shown(report["recall"]), f"of the {report[task]} labelled {task} are found"
    yield "f1", shown(report["f1"]), f"harmonic mean of both, at the deployed score, {report['deployed_score']:g}"
    for band, sizes in zip(SIZE_BANDS[task], _SIZES[task], strict=True):
        number = report[f"{task}_{band.name}"]
        yield f"recall_{band.name}", shown(report[f"recall_{band.name}"]), f"of the {number} {sizes}"
    yield "ap50", shown(report["ap50"]), "average precision at an IoU of 0.5, over all scores"
    yield "ap50_95", shown(report["ap50_95"]), "mean average precision over IoUs from 0.5 to 0.95"
    yield "true_positives", str(report["true_positives"]), f"returned {task} that match a label"
    yield "false_positives", str(report["false_positives"]), "that match no label, or one that is already matched"
    yield "ignored", str(report["ignored"]), f"on {_ignored(task)}: not counted"
    yield "false_positives_per_image", shown(report["false_positives_per_image"]), ""
    yield "images", str(report["images"]), f"matched at an IoU of {report['iou']:g}"
    yield "images_missing", str(report["images_missing"]), "listed by the labels, missing in the folder"
    if report["images_unlabelled"]:
        yield (
            "images_unlabelled",
            str(report["images_unlabelled"]),
            "without a label file; they count as pictures without objects",
        )
    yield "seconds", str(report["times"]["seconds"]), "in total"


def _ignored(task: Task) -> str:
    return "faces flagged invalid or less than 20 pixels high" if task == "faces" else "crowds"

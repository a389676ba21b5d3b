"""The command detection of evaluate.py: are the faces, or the objects, found."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from facet import AsyncClient
from facet.cli.evaluate import output as results
from facet.cli.evaluate import run as running
from facet.cli.evaluate.options import Images, Mistakes, ReportFolder, Require, Seed, ServerAddress
from facet.cli.evaluate.output import Row, shown
from facet.cli.evaluate.run import Advance
from facet.evaluation.calls import Answers
from facet.evaluation.datasets import detection_set
from facet.evaluation.datasets.detection_set import Format, Task
from facet.evaluation.datasets.labelled import LabelledSet
from facet.evaluation.detection import average_precision
from facet.evaluation.detection.figures import SIZE_BANDS
from facet.evaluation.detection.report import detection_report, evaluate, refused_pictures
from facet.evaluation.detection.run import EvaluatedPicture, run_detection
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.provenance import data_set, provenance
from facet.runtime.extras import install_command
from facet.terminal import console, tables
from facet.terminal.console import AsJson, RootCertificates, Token
from facet.v1.server_service_pb2 import GetServerInfoResponse

IOUS: dict[Task, float] = {"faces": 0.4, "objects": 0.5}
"""The least overlap of a match, unless said."""
MIN_SCORES: dict[Task, float] = {"faces": 0.02, "objects": 0.001}
"""The least scores that are asked for, unless said: those at which such sets are customarily evaluated."""

_SIZES: dict[Task, tuple[str, ...]] = {
    "faces": ("20 to 40 pixels high", "40 to 80 pixels high", "80 and more pixels high"),
    "objects": ("of less than 32x32 pixels", "of 32x32 to 96x96 pixels", "of 96x96 and more pixels"),
}


@dataclass(frozen=True, slots=True)
class _Run:
    """What was asked and answered."""

    task: Task
    labelled: LabelledSet
    deployed: float
    min_score: float
    answers: Answers[EvaluatedPicture]


def detection(
    labels: Annotated[
        Path,
        typer.Option(
            help="Labels: WIDER FACE's text, COCO's JSON, or a folder of YOLO's text files.", show_default=False
        ),
    ],
    images: Images,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="What the labels are. Else: a folder yolo, .json coco, .txt wider."),
    ] = None,
    task: Annotated[
        Task | None,
        typer.Option(help="What to judge. Else: faces where the labels know no other class, or objects."),
    ] = None,
    classes: Annotated[
        str, typer.Option(help="Only these classes of objects: person,car. Else: all of the labels'.")
    ] = "",
    names: Annotated[
        Path | None,
        typer.Option(
            help="The names of YOLO's classes: data.yaml, or a text file of a name a line. Else: the server's."
        ),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Leave out pictures that the labels list and the folder does not have: a subset."
        ),
    ] = False,
    address: ServerAddress = None,
    token: Token = "",
    root_certificates: RootCertificates = None,
    iou: Annotated[
        float | None,
        typer.Option(min=0.05, max=1, help="The least overlap (IoU) of a match. Else: 0.4 for faces, 0.5 for objects."),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(min=0.001, max=1, help="Ask down to this score, for AP. Else: 0.02 for faces, 0.001 for objects."),
    ] = None,
    mistakes: Mistakes = 10,
    seed: Seed = 0,
    report: ReportFolder = None,
    require: Require = None,
    as_json: AsJson = False,
) -> None:
    """Are the faces, or the objects, found? Precision and recall at the deployed score, and average precision.

    A picture that is refused, or that the labels list and the folder does not have, counts with all that is labelled
    in it as missed.
    """
    out = results.output(as_json, report, require)
    if not average_precision.is_available():
        console.fail(f"average precision needs pycocotools: {install_command('evaluation')}")
    kind = running.labels(lambda: format_ or detection_set.guessed_format(labels))
    if names and kind != "yolo":
        console.fail("--names is for YOLO's labels: the others name their classes themselves", console.USAGE)
    listed = running.labels(lambda: detection_set.read_set(labels, kind, images, names))
    pictures = {each.image: images / each.image for each in listed.there().pictures}
    data = running.labels(lambda: data_set(labels, pictures))
    if allow_missing:
        listed = listed.there()
    wanted = [name.strip() for name in classes.split(",") if name.strip()]

    async def measure(client: AsyncClient, advance: Advance) -> _Run:
        info = await client.get_server_info()
        what, labelled = _to_judge(listed, labels, task, wanted, info)
        deployed = info.face_min_score if what == "faces" else info.object_min_score
        least = min(MIN_SCORES[what] if min_score is None else min_score, deployed)
        answers = await run_detection(client, labelled, images, task=what, min_score=least, advance=advance)
        return _Run(what, labelled, deployed, least, answers)

    target = running.Target(address, token, root_certificates)
    done = running.labels(lambda: running.measured(target, "Looking", len(listed.pictures), measure))
    run = done.run
    evaluated = list(run.answers.by_item.values())
    overlap = IOUS[run.task] if iou is None else iou
    parts = detection_report(
        evaluate(
            evaluated,
            task=run.task,
            class_names=run.labelled.class_names or (),
            iou=overlap,
            deployed_score=run.deployed,
            min_score=run.min_score,
            seed=seed,
        ),
        mistakes=mistakes,
    )
    missing = {"images_missing": len(listed.missing), "images_unlabelled": listed.unlabelled, "iou": overlap}
    configuration = {
        "format": kind,
        "allow_missing": allow_missing,
        "task": run.task,
        "classes": run.labelled.class_names,
        "iou": overlap,
    }
    origin = provenance(done.info, data=data, configuration=configuration | {"min_score": run.min_score}, seed=seed)
    origin["software"]["evaluation"]["pycocotools"] = importlib.metadata.version("pycocotools")
    built = document(
        "detection",
        parts.figures | missing,
        stopped=run.answers.stopped,
        curves=parts.curves,
        tables=parts.tables,
        mistakes=parts.mistakes,
        refused=refused_pictures(evaluated),
        items=parts.items,
        provenance=origin,
        times=done.times,
    )
    results.finish(built, out, pictures, _show, problems=_nothing_to_find(built))


def _to_judge(
    listed: LabelledSet, labels: Path, task: Task | None, classes: list[str], info: GetServerInfoResponse
) -> tuple[Task, LabelledSet]:
    """What to look for, and the labels that say where it is."""
    named = listed.named(info.class_names, labels)
    what = task or ("objects" if classes else detection_set.guessed_task(named))
    if what == "objects":
        return what, detection_set.objects_of(named, labels, classes, info.class_names)
    if classes:
        console.fail("--classes is for objects; faces are of one class", console.USAGE)
    return what, detection_set.faces_of(named, labels)


def _nothing_to_find(report: Report) -> Iterator[str]:
    if not report[report["task"]]:
        yield f"the labels have no {report['task']} to judge by: there is no recall and no average precision"


def _show(report: Report) -> None:
    results.print_figures(f"Detection of {report['task']}", _rows(report))
    for name, title in (("false_positives", "The surest false positives"), ("misses", "The largest misses")):
        if rows := report["mistakes"][name]:
            table = tables.table("picture", "box", "what", title=title)
            for each in rows:
                what = f"score {each['score']:.3f}" if "score" in each else f"{each['height']:.0f} pixels high"
                place = " ".join(f"{edge:.0f}" for edge in each["box"])
                table.add_row(tables.Shortened(each["image"]), place, " ".join([each.get("class", ""), what]).strip())
            console.out.print(table)


def _rows(report: Report) -> Iterator[Row]:
    task: Task = report["task"]
    yield "precision", shown(report["precision"]), f"of the answered {task} are labelled ones"
    yield "recall", shown(report["recall"]), f"of the {report[task]} labelled {task} are found"
    yield "f1", shown(report["f1"]), f"harmonic mean of the two, at the deployed score, {report['deployed_score']:g}"
    for band, sizes in zip(SIZE_BANDS[task], _SIZES[task], strict=True):
        number = report[f"{task}_{band.name}"]
        yield f"recall_{band.name}", shown(report[f"recall_{band.name}"]), f"of the {number} {sizes}"
    yield "ap50", shown(report["ap50"]), "average precision at an IoU of 0.5, over all scores"
    yield "ap50_95", shown(report["ap50_95"]), "the same, the mean over IoUs of 0.5 to 0.95"
    yield "true_positives", str(report["true_positives"]), f"answered {task} that match a labelled one"
    yield "false_positives", str(report["false_positives"]), "that match none, or one that was matched already"
    yield "ignored", str(report["ignored"]), f"on {_ignored(task)}: counted neither way"
    yield "false_positives_per_image", shown(report["false_positives_per_image"]), ""
    yield "images", str(report["images"]), f"matched at an IoU of {report['iou']:g}"
    yield "images_missing", str(report["images_missing"]), "listed by the labels, but not in the folder"
    if report["images_unlabelled"]:
        yield "images_unlabelled", str(report["images_unlabelled"]), "without a file of labels: without objects, then"
    yield "seconds", str(report["times"]["seconds"]), "for all of it"


def _ignored(task: Task) -> str:
    return "faces flagged invalid or lower than 20 pixels" if task == "faces" else "crowds"

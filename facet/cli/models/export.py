"""``facet models export``: an Ultralytics YOLO model becomes an ONNX file that the detector loads."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from detector.export import CHECKPOINTS, DESCRIPTIONS, Export, ExportFailed, export_model
from facet.cli.models.options import Trust
from facet.runtime.models import ModelError
from facet.terminal import console, tables
from facet.terminal.command_line.help import Command
from facet.terminal.counts import in_bytes

_CLASSES_SHOWN = 5

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(cls=Command)
def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A checkpoint ([b]yolo11s.pt[/b], or a path; Ultralytics downloads a known name that is not there) or "
            "a model description ([b]yolo11n.yaml[/b]: random weights, for trying things out).",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: models/<name of MODEL>.onnx.", dir_okay=False)
    ] = None,
    size: Annotated[
        int, typer.Option(min=32, max=4096, help="Side of the model's input in pixels, a multiple of 32.")
    ] = 640,
    dynamic: Annotated[
        bool,
        typer.Option(
            "--dynamic/--static",
            help="Leave height and width open, so that oblong pictures cost less; or fix them at --size.",
        ),
    ] = True,
    trust: Trust = False,
    as_json: console.AsJson = False,
) -> None:
    r"""Export an Ultralytics YOLO model to an ONNX file that the server loads.

    Works with models for [b]detect[/b] and [b]pose[/b]: YOLOv8, YOLO11, YOLO12, YOLO26 (whose boxes need no NMS), and
    checkpoints that you trained from them. A pose model with 5 keypoints and a class "face" replaces the server's own
    face detector.

    A checkpoint is a pickle: loading it runs whatever code its author put into it, with your rights. It is refused
    without [b]--trust[/b].

    The export is compared with the original on the same inputs before it is written. Its digest, licence (AGPL-3.0) and
    source go into models.json beside it. Needs Ultralytics. In a clone, [i]scripts/install export[/i] installs it into
    .venv-export; then type [i].venv-export/bin/facet models export[/i].

    [b]Examples[/b]

      facet models export yolo11s.pt --trust
      facet models export best.pt --trust --out models/helmets.onnx
      facet models export yolo26n.yaml --static --json

    Exit code: 0 done, 1 failed, 2 bad usage.
    """
    suffix = Path(model).suffix
    if suffix not in (*CHECKPOINTS, *DESCRIPTIONS):
        raise typer.BadParameter("expected a .pt checkpoint or a .yaml model description", param_hint="MODEL")
    if size % 32:
        raise typer.BadParameter(f"{size} is no multiple of 32", param_hint="--size")
    if out is not None and out.suffix != ".onnx":
        raise typer.BadParameter(f"{out} does not end in .onnx", param_hint="--out")
    target = out or Path("models") / f"{Path(model).stem}.onnx"
    try:
        with console.err.status(f"Exporting {model} ..."), contextlib.redirect_stdout(sys.stderr):
            exported = export_model(model, target, size=size, dynamic=dynamic, trust=trust)
    except (ExportFailed, ModelError, OSError) as error:
        console.fail(f"failed: {error}")
    if as_json:
        console.print_json(asdict(exported))
    else:
        _show(exported)


def _show(export: Export) -> None:
    classes = ", ".join(export.classes[:_CLASSES_SHOWN]) + (", ..." if len(export.classes) > _CLASSES_SHOWN else "")
    table = tables.listing(f"{export.path} ({in_bytes(export.bytes)})")
    table.add_row("SHA-256", export.sha256[:12])
    table.add_row("input", f"up to {export.size} pixels a side" if export.dynamic else f"{export.size}x{export.size}")
    table.add_row("head", export.head)
    table.add_row("classes", f"{len(export.classes)}: {classes}")
    difference = export.difference
    table.add_row("differs", f"at most {difference.pixels:.2g} pixels and {difference.scores:.2g} in score")
    table.add_row("licence", export.license)
    console.out.print(table)

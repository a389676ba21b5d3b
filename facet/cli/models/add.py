"""``facet models add``: a model as people get it becomes one that the server reads."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from facet.runtime.models import UNKNOWN, ModelError
from facet.terminal import console, tables
from facet.terminal.counts import in_bytes
from recognizer.models.adding.add import Added, AddedPack, Told, add_file, add_pack
from recognizer.models.adding.choice import Choice
from recognizer.models.adding.preprocessing import Channels, Triple


def add(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="An ONNX file, or the folder of an InsightFace pack (buffalo_l, ...)."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the models; the server's models.folder.")] = Path("models"),
    name: Annotated[
        str, typer.Option(help="Name by which the server finds the model. Default: that of the file.")
    ] = "",
    license_text: Annotated[
        str,
        typer.Option("--license", metavar="TEXT", help="Licence of the weights. Default: what is known of the file."),
    ] = "",
    channels: Annotated[
        Channels | None,
        typer.Option(help="Order of channels that a recogniser was trained with. Found out by default."),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Mean that a recogniser's preprocessing subtracts from samples of 0 to 255: one number, or three for "
            "red, green and blue. Found out by default.",
        ),
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="What it divides them by afterwards; goes with --mean.")
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Output of a recogniser that holds the embedding, if it has several. Found out by default.",
            show_default=False,
        ),
    ] = "",
    as_json: console.AsJson = False,
) -> None:
    """Add a model to the folder that the server loads models from.

    A [b]recogniser[/b] may have any side, axes (n, 3, s, s) or (n, s, s, 3), a fixed number of pictures, RGB or BGR,
    any mean and scale, float16, and several outputs. It becomes one that the server reads, and gives the same
    embeddings. Preprocessing that you do not tell is found out: each usual way embeds a dozen faces and altered copies
    of them, and the one that tells people apart best is taken, and so is the output. A model that tells nobody apart
    is refused.

    A [b]face detector[/b] (SCRFD) of a fixed size becomes one of any size, and is checked to find the same faces. A
    [b]YOLO[/b] model is checked and copied. Of a [b]pack[/b], the detector and the recogniser are added.

    A model that the server reads as it is is copied, and keeps its digest. Digests, licence and source go into
    models.json. Converting needs the package onnx: [i]scripts/install models[/i].

    [b]Examples[/b]

      facet models add recogniser.onnx --license "MIT, example.com"
      facet models add recogniser.onnx --channels bgr --mean 127.5 --std 128
      facet models add recogniser.onnx --mean 123.7,116.3,103.5 --std 57.4
      facet models add ~/.insightface/models/buffalo_l

    Exit code: 0 added, 1 the model cannot be used (nothing is written), 2 bad usage.
    """
    told = replace(_told(channels, mean, std), output=output)
    name = name.removesuffix(".onnx")
    if name != Path(name).name or name.startswith("."):
        raise typer.BadParameter(f"{name!r} is not the name of a file", param_hint="--name")
    if path.is_dir() and (name or told != Told()):
        raise typer.BadParameter(
            "--name, --channels, --mean, --std and --output are for a file: the models of a pack keep their names, and "
            "are read as InsightFace reads them"
        )
    left_out: dict[str, str] = {}
    try:
        with console.err.status(f"Reading {path} ..."):
            if path.is_dir():
                pack: AddedPack = add_pack(path, out, weights_license=license_text)
                models, left_out = pack.models, dict(pack.left_out)
            else:
                models = (add_file(path, out, told=told, name=name, weights_license=license_text),)
    except (ModelError, OSError) as error:
        console.fail(f"not added: {error}")
    serve = _serve(models, out)
    if as_json:
        plain = [_plain(model) for model in models]
        console.print_json({"folder": str(out), "models": plain, "left_out": left_out, "serve": serve})
        return
    for model in models:
        console.out.print(_table(model))
    for reason in left_out.values():
        console.out.print(f"left out: {reason}")
    for model in models:
        for advice in _advice(model):
            console.out.print(advice)
    console.out.print(f"Serve with it: {serve}")
    for name in (model.name for model in models if model.role == "embedding"):
        console.out.print(
            "Templates of two models do not compare. Galleries of another one are migrated while they are searched:\n  "
            f"{shlex.join(['facet', 'serve', '--models.folder', str(out), '--models.embedding-next', name])}\n  "
            f"{shlex.join(['facet', 'gallery', 'migrate', 'GALLERY', '--to', name])}"
        )


def _told(channels: Channels | None, mean: str | None, std: str | None) -> Told:
    if (mean is None) != (std is None):
        raise typer.BadParameter("--mean and --std go together: (sample - mean) / std, for samples of 0 to 255")
    if mean is None or std is None:
        return Told(channels)
    divisor = _triple(std, "--std")
    if min(divisor) <= 0:
        raise typer.BadParameter(f"{std} must be greater than 0", param_hint="--std")
    return Told(channels, (_triple(mean, "--mean"), divisor))


def _triple(text: str, option: str) -> Triple:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3) or not all(math.isfinite(value) for value in values):
        raise typer.BadParameter(
            f"{text!r} is neither a number nor three, such as 127.5,127.5,127.5", param_hint=option
        )
    red, green, blue = values * 3 if len(values) == 1 else values
    return red, green, blue


def _serve(models: tuple[Added, ...], out: Path) -> str:
    """The command that serves with the models; of two for one role, the first."""
    flags = {model.role: model.name for model in reversed(models)}
    chosen = [word for role, model in sorted(flags.items(), reverse=True) for word in (f"--models.{role}", model)]
    return shlex.join(["facet", "serve", "--models.folder", str(out), *chosen])


def _table(model: Added) -> Any:
    table = tables.listing(f"{model.path} ({in_bytes(model.path.stat().st_size)})")
    table.add_row("setting", f"models.{model.role}")
    table.add_row("SHA-256", model.origin.sha256[:12])
    table.add_row("converted from", model.origin.converted_from[:12] or "nothing: copied as it is")
    if model.choice:
        table.add_row("input", str(model.choice.preprocessing))
        table.add_row("check", str(model.choice.separation))
        if model.choice.second:
            table.add_row("second", f"{model.choice.second}, {model.choice.lead:.1%} behind")
        if model.output:
            table.add_row("output", f"{model.output}, one of several")
        table.add_row("faces at a time", "any number" if model.batch is None else str(model.batch))
    table.add_row("licence", model.origin.license)
    table.add_row("source", model.origin.source)
    return table


def _advice(model: Added) -> list[str]:
    lines = []
    choice = model.choice
    if choice and choice.second and choice.is_near:
        options = []
        if choice.second.channels != choice.preprocessing.channels:
            options.append("--channels")
        if (choice.second.mean, choice.second.std) != (choice.preprocessing.mean, choice.preprocessing.std):
            options += ["--mean", "--std"]
        lines.append(
            f"{model.name}: the two best ways are too near to choose, {choice.preprocessing} was taken. Ask its "
            f"provider, and tell it by {' and '.join(options)}."
        )
    if model.origin.license == UNKNOWN:
        lines.append(
            f"{model.name}: the licence of the weights is not known. Ask the provider of the file, and tell it by "
            "--license."
        )
    return lines


def _plain(model: Added) -> dict[str, Any]:
    return {
        "name": model.name,
        "role": model.role,
        "file": str(model.path),
        "sha256": model.origin.sha256,
        "converted_from": model.origin.converted_from,
        "license": model.origin.license,
        "source": model.origin.source,
        "batch": model.batch,
        "output": model.output or None,
        "input": model.choice and _plain_choice(model.choice),
    }


def _plain_choice(choice: Choice) -> dict[str, Any]:
    def plain(each: Any) -> Any:
        return each and {"channels": each.channels, "mean": list(each.mean), "std": list(each.std)}

    return {
        **plain(choice.preprocessing),
        "same_face": choice.separation.same_face,
        "different_people": choice.separation.different_people,
        "second": plain(choice.second),
        "lead": choice.lead,
        "too_near": choice.is_near,
    }

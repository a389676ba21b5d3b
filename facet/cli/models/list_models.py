"""``facet models list``: the models that are here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facet.runtime.models import ModelError, ModelFile, find_model, packaged_names
from facet.terminal import console, tables


def list_models(
    folder: Annotated[
        Path, typer.Option(help="Folder of fetched, added and exported models; the server's models.folder.")
    ] = Path("models"),
    as_json: console.AsJson = False,
) -> None:
    """List the models that are here: those that come with the installation, and those in a folder.

    Settings such as [b]facet serve --models.faces[/b] take these names. Digests are verified.

    Exit code: 0 every model is intact, 1 a model is missing, changed or damaged, 2 bad usage.
    """
    found: list[ModelFile] = []
    problems: list[str] = []
    for name in (*packaged_names(), *sorted(path.name for path in folder.glob("*.onnx"))):
        try:
            found.append(find_model(name, folder))
        except ModelError as error:
            problems.append(str(error))
    if as_json:
        console.print_json({"models": [_plain(model) for model in found], "problems": problems})
    else:
        table = tables.table("model", "SHA-256", "licence of the weights", "source")
        for model in found:
            table.add_row(model.name.removesuffix(".onnx"), model.sha256[:12], model.license, model.source)
        console.out.print(table)
    for problem in problems:
        console.err.print(problem)
    raise typer.Exit(console.FAILED if problems else console.DONE)


def _plain(model: ModelFile) -> dict[str, str | int]:
    return {
        "name": model.name.removesuffix(".onnx"),
        "file": str(model.path),
        "bytes": model.size,
        "sha256": model.sha256,
        "license": model.license,
        "source": model.source,
    }

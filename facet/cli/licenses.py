"""``facet licenses``: the licences of the packages and models that are installed here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from typing import Annotated

import typer

from facet.cli.shared.dependencies import condition, dependencies, extras, note
from facet.runtime.extras import DISTRIBUTION
from facet.runtime.models import ModelError, find_model, packaged_names
from facet.terminal import console, tables
from facet.terminal.command_line.help import Command

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(cls=Command)
def main(
    extra: Annotated[
        list[str] | None,
        typer.Option(help="Also list what this extra requires, as far as it is installed; may be repeated."),
    ] = None,
    as_json: console.AsJson = False,
) -> None:
    """List the licences of what is installed here: Facet, the packages that it requires, and the packaged models.

    A licence is listed as the package declares it. The column [i]note[/i] names what to look at before you pass a
    package or a model on: copyleft, non-commercial use only, no licence declared. Facet does not give legal advice.
    Models that you fetched or exported are in [b]facet models list[/b].

    With [b]--json[/b]: [i]packages[/i] with name, version, license and note; [i]models[/i] with name, sha256, license,
    note and source.

    [b]Examples[/b]

      facet licenses
      facet licenses --extra camera --extra evaluation
      facet licenses --json > licenses.json

    Exit code: 0 listed, 1 a packaged model is missing or damaged, 2 bad usage.
    """
    try:
        known = extras()
        if unknown := [each for each in extra or () if each not in known]:
            console.fail(f"no such extra: {', '.join(unknown)}; there are {', '.join(known)}", console.USAGE)
        packages = dependencies(extra or ())
        models = [find_model(name) for name in packaged_names()]
    except PackageNotFoundError:
        console.fail(f"{DISTRIBUTION} is not installed in this environment")
    except ModelError as error:
        console.fail(str(error))
    if as_json:
        console.print_json(
            {
                "packages": [
                    {
                        "name": each.name,
                        "version": each.version,
                        "license": each.license,
                        "note": note(each),
                    }
                    for each in packages.values()
                ],
                "models": [
                    {
                        "name": model.name,
                        "sha256": model.sha256,
                        "license": model.license,
                        "note": condition(model.license),
                        "source": model.source,
                    }
                    for model in models
                ],
            }
        )
        return
    table = tables.table(tables.whole("package"), tables.whole("version"), "licence", "note", title="packages")
    for each in packages.values():
        table.add_row(each.name, each.version, each.license, note(each))
    console.out.print(table)
    weights = tables.table(tables.whole("model"), "licence of the weights", "note", "source", title="packaged models")
    for model in models:
        weights.add_row(model.name, model.license, condition(model.license), model.source)
    console.out.print(weights)

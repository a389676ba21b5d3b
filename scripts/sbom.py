"""Write the software bill of materials of this installation: a CycloneDX file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # scripts/ holds gallery.py, which would hide the package

from facet.cli.shared.dependencies import dependencies, extras
from facet.runtime.extras import DISTRIBUTION, install_command
from facet.runtime.models import find_model, packaged_names

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="The file to write.", dir_okay=False)] = Path(f"{DISTRIBUTION}.cdx.json"),
    extra: Annotated[list[str] | None, typer.Option(help="Include what this extra requires; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Write what the server consists of as CycloneDX 1.6 JSON: packages and models with digests and licences.

    It lists the versions that are installed here for this platform. The digests of a package are those of all its
    files that requirements/ accepts. Needs the extra [b]dev[/b].

    With [b]--json[/b]: [i]file[/i] is the file, [i]packages[/i] and [i]models[/i] are their numbers.

    Exit code: 0 done, 1 the file cannot be written or a package is missing, 2 bad usage.
    """
    if unknown := [each for each in extra or () if each not in extras()]:
        typer.echo(f"no such extra: {', '.join(unknown)}; there are {', '.join(extras())}", err=True)
        raise typer.Exit(2)
    try:
        from scripts.bill_of_materials import document
    except ImportError as error:
        typer.echo(f"needs {error.name}, which is not installed: {install_command('dev')}", err=True)
        raise typer.Exit(1) from None
    packages = dependencies(extra or ())
    models = [find_model(name) for name in packaged_names()]
    try:
        out.write_text(document(packages, models), "utf-8")
    except OSError as error:
        typer.echo(f"cannot write {out}: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps({"file": str(out), "packages": len(packages) - 1, "models": len(models)}))
    else:
        typer.echo(f"{out}: {len(packages) - 1} packages, {len(models)} models")


if __name__ == "__main__":
    app()

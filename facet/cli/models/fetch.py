"""``facet models fetch``: models from their publishers into a folder."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated

import requests
import typer

from detector.export import ExportFailed, export_model
from facet.cli.models.options import Trust
from facet.runtime.models import ModelError, ModelOrigin
from facet.terminal import console, tables
from recognizer.models.packs import PACKS, fetch_pack


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            help="InsightFace packs (buffalo_l, antelopev2, ...) or Ultralytics checkpoints (yolo11s.pt, ...).",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the models; the server's models.folder.")] = Path("models"),
    trust: Trust = False,
    as_json: console.AsJson = False,
) -> None:
    """Fetch models: InsightFace's packs from its releases, Ultralytics' checkpoints by export.

    Digests are checked and recorded in models.json. Checkpoints need Ultralytics and [b]--trust[/b]: see
    [b]facet models export --help[/b]. The command stops at the first model that it cannot fetch, and keeps those
    fetched before.

    [b]Examples[/b]

      facet models fetch buffalo_l
      facet serve --models.folder models --models.faces det_10g

    Exit code: 0 all were fetched, 1 one could not be fetched, 2 bad usage.
    """
    if unknown := [name for name in names if name not in PACKS and not name.endswith(".pt")]:
        console.fail(f"no such model: {', '.join(unknown)}; packs are {', '.join(PACKS)}", console.USAGE)
    fetched: dict[str, ModelOrigin] = {}
    failure = ""
    done = 0
    for name in names:
        try:
            fetched |= _fetch_checkpoint(name, out, trust=trust) if name.endswith(".pt") else fetch_pack(name, out)
        except requests.HTTPError as error:
            failure = f"cannot fetch {name}: {error}"
            break
        except (requests.RequestException, ConnectionError) as error:
            failure = f"cannot fetch {name}, the network does not reach it ({type(error).__name__})"
            if not fetched:
                failure += "; nothing changed"
            break
        except (ModelError, ExportFailed, OSError, RuntimeError, zipfile.BadZipFile) as error:
            failure = f"cannot fetch {name}: {error}"
            break
        done += 1
    _report(fetched, names[done:], out, as_json=as_json)
    if failure:
        console.fail(f"{failure}; fetched: {', '.join(names[:done]) or 'none'}; not fetched: {', '.join(names[done:])}")


def _fetch_checkpoint(name: str, out: Path, *, trust: bool) -> dict[str, ModelOrigin]:
    """Let Ultralytics download a checkpoint, and export it."""
    export = export_model(name, out / f"{Path(name).stem}.onnx", size=640, dynamic=True, trust=trust)
    return {Path(export.path).name: ModelOrigin(export.sha256, export.license, f"Ultralytics' checkpoint {name}")}


def _report(fetched: dict[str, ModelOrigin], not_fetched: list[str], out: Path, *, as_json: bool) -> None:
    """Print what this run put into the folder."""
    if as_json:
        described = [
            {"file": file, "sha256": origin.sha256, "license": origin.license, "source": origin.source}
            for file, origin in fetched.items()
        ]
        console.print_json({"folder": str(out), "models": described, "not_fetched": not_fetched})
        return
    if not fetched:
        return
    table = tables.table("file", "SHA-256", "licence of the weights", "source", title=str(out))
    for file, origin in fetched.items():
        table.add_row(file, origin.sha256[:12], origin.license, origin.source)
    console.out.print(table)

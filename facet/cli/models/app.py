"""``facet models``: list, fetch, add, compare and export model files."""

from __future__ import annotations

import typer

from facet.terminal.command_line.lazy import Lazy, lazy_group

COMMANDS = (
    Lazy("list", "facet.cli.models.list_models:list_models", "List the models that are here."),
    Lazy("fetch", "facet.cli.models.fetch:fetch", "Fetch models from their publishers."),
    Lazy("add", "facet.cli.models.add:add", "Add an ONNX model or an InsightFace pack, converted if need be."),
    Lazy("compare", "facet.cli.models.compare.command:compare", "Compare two recognisers on the same faces."),
    Lazy("export", "facet.cli.models.export:app", "Export an Ultralytics YOLO model to an ONNX file."),
)

app = typer.Typer(cls=lazy_group(COMMANDS), add_completion=False, rich_markup_mode="rich", no_args_is_help=True)


@app.callback()
def main() -> None:
    """List, fetch, add, compare and export model files. docs/models.md says which models there are.

    With [b]--json[/b] every command prints JSON for programs.

    Exit code: 0 done, 1 failed, 2 bad usage.
    """

"""``facet gallery migrate``: the steps of a migration to another embedding model, each a command."""

from __future__ import annotations

import typer

from facet.terminal.command_line.default_command import group_with_default
from facet.terminal.command_line.lazy import Lazy

_HERE = "facet.cli.gallery.migrate"
COMMANDS = (
    Lazy("start", f"{_HERE}.start:start", "Start a migration, and follow it. The default."),
    Lazy("status", f"{_HERE}.standing.status:status", "Show where a migration stands, and the next step."),
    Lazy("gaps", f"{_HERE}.gaps.listing:gaps", "List who has no embedding of the other model, and why."),
    Lazy("fill", f"{_HERE}.gaps.fill:fill", "Make missing embeddings from a folder of original pictures."),
    Lazy("shadow", f"{_HERE}.shadow.command:shadow", "Compare both models on live identifications."),
    Lazy("calibrate", f"{_HERE}.calibrate:calibrate", "Choose the other model's threshold from evidence."),
    Lazy("threshold", f"{_HERE}.threshold:threshold", "Set the other model's threshold by hand."),
    Lazy("switch", f"{_HERE}.switching:switch", "Let the new model search."),
    Lazy("rollback", f"{_HERE}.switching:rollback", "Let the old model search again."),
    Lazy("finish", f"{_HERE}.ending:finish", "Drop the old model's embeddings, for good."),
    Lazy("cancel", f"{_HERE}.ending:cancel", "End a migration that is not switched."),
)
NAMES = frozenset(each.name for each in COMMANDS)

app = typer.Typer(
    cls=group_with_default(COMMANDS, "start"), add_completion=False, rich_markup_mode="rich", no_args_is_help=True
)


@app.callback()
def main() -> None:
    """Take a gallery to another embedding model while it is searched, without enrolling anybody anew.

    The server needs both models: [b]models.embedding_next[/b] names the second. Until [b]switch[/b], the old model
    searches; what is enrolled meanwhile gets embeddings of both. [b]status[/b] names the next step at any time.

    [b]The whole way[/b]

      facet serve --models.embedding-next mobilefacenet-128
      facet gallery migrate team --to mobilefacenet-128
      facet gallery migrate status team
      facet gallery migrate gaps team
      facet gallery migrate fill team originals/
      facet gallery migrate calibrate team --strangers strangers/
      facet gallery migrate shadow team --share 0.1
      facet gallery migrate shadow team --page shadow.html
      facet gallery migrate switch team
      facet gallery migrate rollback team
      facet gallery migrate finish team

    [b]migrate GALLERY --to MODEL[/b] is short for [b]migrate start GALLERY --to MODEL[/b]. A gallery that is called
    like one of the commands needs the long form: [b]migrate start status --to MODEL[/b]. docs/migration.md explains
    each step.

    Exit code: 0 done, 1 refused or failed, 2 bad usage, 130 stopped by Ctrl-C.
    """

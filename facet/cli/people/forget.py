"""``facet people forget`` and ``facet people forget-template``."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from facet import NotFound
from facet.cli.people.missing import missing
from facet.cli.people.options import Gallery, SubjectId
from facet.cli.shared.confirmation import Yes, confirm
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.command_line.program import spelled
from facet.terminal.connection import Connection
from facet.terminal.counts import counted


@grouped_options
def forget(
    subjects: Annotated[list[str], typer.Argument(help="The subjects' ids.", show_default=False)],
    gallery: Gallery = "default",
    yes: Yes = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Forget people: delete their names and all their templates. This cannot be undone."""
    confirm(f"Forget {', '.join(subjects)} in {gallery}?", yes=yes)
    forgotten: dict[str, int] = {}
    with connection.open() as client:
        for subject in subjects:
            try:
                forgotten[subject] = client.delete_subject(gallery, subject).templates_deleted
            except NotFound as error:
                console.err.print(missing(error, client, gallery, subject) + _merged(error, gallery, subject))
    if as_json:
        console.print_json({"forgotten": forgotten})
    else:
        for subject, templates in forgotten.items():
            console.out.print(f"forgot {subject} and {counted(templates, 'template')}")
    raise typer.Exit(console.DONE if len(forgotten) == len(subjects) else console.FAILED)


@grouped_options
def forget_template(
    subject: SubjectId,
    templates: Annotated[
        list[str], typer.Argument(help="The templates' ids; the command show lists them.", show_default=False)
    ],
    gallery: Gallery = "default",
    yes: Yes = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Delete single templates of a person. The person stays, even without templates. This cannot be undone."""
    confirm(f"Delete {counted(len(templates), 'template')} of {subject} in {gallery}?", yes=yes)
    forgotten: list[str] = []
    with connection.open() as client:
        for template in templates:
            try:
                client.delete_template(gallery, subject, template)
                forgotten.append(template)
            except NotFound as error:
                console.err.print(missing(error, client, gallery, subject))
    if as_json:
        console.print_json({"subject": subject, "forgotten": forgotten})
    else:
        for template in forgotten:
            console.out.print(f"deleted template {template} of {subject}")
    raise typer.Exit(console.DONE if len(forgotten) == len(templates) else console.FAILED)


def _merged(error: NotFound, gallery: str, subject: str) -> str:
    """What to type if a merge can still be undone, which would bring the person back; empty if there is none."""
    change, into = error.metadata.get("change_id", ""), error.metadata.get("merged_into", "")
    if not change or not into:
        return ""
    undo, alone, both = (
        spelled(f"facet people {shlex.join([*words, '--gallery', gallery])}")
        for words in (("undo", change), ("forget", subject), ("forget", into))
    )
    return f"\nto forget {subject} alone: {undo}\n  and then: {alone}\nto forget both: {both}"

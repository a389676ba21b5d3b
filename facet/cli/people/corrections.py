"""``facet people merge``, ``move``, ``undo``, ``changes`` and ``apart``."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from facet import FailedPrecondition, NotFound
from facet.cli.people.missing import missing, subject_errors
from facet.cli.people.options import Gallery, SubjectId, utc
from facet.cli.shared.confirmation import Yes, confirm
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.command_line.program import spelled
from facet.terminal.connection import Connection, usual_address
from facet.terminal.counts import counted
from facet.terminal.rendering import as_dict
from facet.terminal.visible import one_line
from facet.v1 import gallery_service_pb2 as pb

_FOR_A_WHILE = "This can be undone for a while only"
_MADE_AGAIN = "To take that back, merge or move again"


@grouped_options
def merge(
    gone: Annotated[str, typer.Argument(metavar="FROM", help="The subject that disappears.", show_default=False)],
    into: Annotated[
        str, typer.Argument(metavar="INTO", help="The subject that gets its templates.", show_default=False)
    ],
    gallery: Gallery = "default",
    yes: Yes = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Merge two subjects that are one person: FROM's templates become INTO's, and FROM's id disappears.

    INTO keeps its id and name. Of consents and expiries the stricter apply. [b]facet people undo[/b] undoes it.

    [b]Examples[/b]

      facet people merge yao-2 yao --gallery team
      facet people merge yao-2 yao --gallery team --yes
    """
    confirm(f"Merge {gone} into {into} in {gallery}?", yes=yes, warning=_FOR_A_WHILE)
    with connection.open() as client:
        try:
            made = client.merge_subjects(gallery, gone, into)
        except NotFound as error:
            console.fail(missing(error, client, gallery, gone))
        except FailedPrecondition as error:
            if error.reason != "DISTINCT_SUBJECTS":
                raise
            words = shlex.join(["apart", gone, into, "--remove", "--gallery", gallery])
            console.fail(f"{error.reason}: {error.message}: {spelled(f'facet people {words}')}")
    templates = counted(made.subject.template_count, "template")
    _print_change(made, as_json, f"merged {gone} into {into}, which has {templates}", connection.address)


@grouped_options
def move(
    template: Annotated[
        str, typer.Argument(help="The template's id; the command show lists them.", show_default=False)
    ],
    source: Annotated[str, typer.Option("--from", help="The subject that has it.", show_default=False)],
    into: Annotated[str, typer.Option("--to", help="The subject whom it shows.", show_default=False)],
    gallery: Gallery = "default",
    yes: Yes = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Move a template to the person whom it shows. [b]facet people undo[/b] undoes it.

    [b]Examples[/b]

      facet people move TEMPLATE_ID --from yao --to liu --gallery team
      facet people move TEMPLATE_ID --from yao --to liu --gallery team --yes
    """
    confirm(f"Move template {template} from {source} to {into} in {gallery}?", yes=yes, warning=_FOR_A_WHILE)
    with connection.open() as client:
        try:
            made = client.move_template(gallery, template, source, into)
        except NotFound as error:
            console.fail(missing(error, client, gallery, source))
    _print_change(made, as_json, f"moved template {template} from {source} to {into}", connection.address)


@grouped_options
def undo(
    change: Annotated[str, typer.Argument(help="The change's id; the command changes lists them.", show_default=False)],
    gallery: Gallery = "default",
    yes: Yes = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Undo a merge or a move. People get back the names, consents, times and templates that they had.

    A change that was undone before stays as it is.

    [b]Examples[/b]

      facet people undo CHANGE_ID --gallery team
      facet people undo CHANGE_ID --gallery team --yes
    """
    with connection.open() as client, subject_errors(client, gallery, ""):
        request = pb.UndoChangeRequest(gallery_id=gallery, change_id=change, validate_only=not yes)
        answer = client.galleries.UndoChange(request)
        if request.validate_only and not answer.was_undone:
            confirm(f"{_undoing(answer.change)} in {gallery}?", yes=yes, warning=_MADE_AGAIN)
            request.validate_only = False
            answer = client.galleries.UndoChange(request)
    undone = answer.change
    if as_json:
        console.print_json(as_dict(undone) | {"was_undone": answer.was_undone})
    elif answer.was_undone:
        console.out.print(f"the change {change} was undone already; nothing was changed")
    else:
        returned = f"{counted(len(undone.template_ids), 'template')} went back to {undone.from_subject_id}"
        console.out.print(f"undid the change: {returned} from {undone.into_subject_id}")


@grouped_options
def changes(
    gallery: Gallery = "default",
    subject: Annotated[str, typer.Option(help="Only the changes from or into this subject.", show_default=False)] = "",
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """List the merges and moves that can be undone, or were, the latest first. The first column is the change's id.

    [b]Example[/b]

      facet people changes --gallery team
    """
    with connection.open() as client:
        found = list(client.iter_changes(gallery, subject_id=subject))
    if as_json:
        console.print_json({"changes": [as_dict(each) for each in found]})
        return
    for each in found:
        console.out.print(f"{each.change_id}  {utc(each.create_time)}  {_made(each)}")
    console.err.print(f"{counted(len(found), 'change')} in {gallery}")


@grouped_options
def apart(
    one: SubjectId,
    other: Annotated[str, typer.Argument(help="The id of the other one.", show_default=False)],
    gallery: Gallery = "default",
    remove: Annotated[bool, typer.Option("--remove", help="Take it back: they may be one person.")] = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Tell two people apart who look alike, such as twins. [b]facet people apart-list[/b] lists them.

    Enrolling one is no longer refused because of the other, and nobody suspects them to be one person. A face that is
    nearly as similar to the one as to the other is unknown rather than a guess.

    [b]Examples[/b]

      facet people apart ann beth --gallery team
      facet people apart ann beth --gallery team --remove
    """
    with connection.open() as client:
        try:
            client.set_distinct(gallery, one, other, remove=remove)
        except NotFound as error:
            console.fail(missing(error, client, gallery, one))
    if as_json:
        console.print_json({"subject": one, "other": other, "distinct": not remove})
    else:
        console.out.print(f"{one} and {other} {'may be one person' if remove else 'are two people'}")


@grouped_options
def apart_list(
    gallery: Gallery = "default",
    subject: Annotated[str, typer.Option(help="Only the pairs of this subject.", show_default=False)] = "",
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """List the pairs of people who were told apart."""
    with connection.open() as client:
        pairs = [(each.subject_id, each.other_subject_id) for each in client.iter_distinct(gallery, subject_id=subject)]
    if as_json:
        console.print_json({"pairs": [list(pair) for pair in pairs]})
        return
    for one, other in pairs:
        console.out.print(f"{one_line(one)} and {one_line(other)}")
    console.err.print(f"{counted(len(pairs), 'pair')} in {gallery}")


def _made(change: pb.Change) -> str:
    """What a change did, who made it, and whether it can be undone."""
    templates = counted(len(change.template_ids), "template")
    source, into = one_line(change.from_subject_id), one_line(change.into_subject_id)
    is_merge = change.kind == pb.CHANGE_KIND_MERGE
    made = f"merged {source} into {into}, {templates}" if is_merge else f"moved {templates} from {source} to {into}"
    by = f" by {one_line(change.caller)}" if change.caller else ""
    return f"{made}{by}; {'undone' if change.undone else f'can be undone until {utc(change.undo_until)} UTC'}"


def _undoing(change: pb.Change) -> str:
    """What undoing a change would do."""
    templates = counted(len(change.template_ids), "template")
    source, into = one_line(change.from_subject_id), one_line(change.into_subject_id)
    if change.kind == pb.CHANGE_KIND_MERGE:
        return f"Bring {source} back, who was merged into {into}, with {templates}"
    return f"Give {templates} of {into} back to {source}"


def _print_change(
    made: pb.MergeSubjectsResponse | pb.MoveTemplateResponse, as_json: bool, text: str, address: str
) -> None:
    if as_json:
        console.print_json(as_dict(made))
        return
    change = made.change
    words = ["undo", change.change_id, "--gallery", change.gallery_id]
    if address != usual_address():
        words += ["--address", address]
    console.out.print(text)
    console.out.print(f"to undo it until {utc(change.undo_until)} UTC: {spelled(f'facet people {shlex.join(words)}')}")

"""``facet people consent`` and ``facet people expire``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NoReturn

import typer

from facet import NotFound
from facet.cli.people.missing import missing
from facet.cli.people.options import Gallery, utc
from facet.cli.shared import terms
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.rendering import as_dict
from facet.terminal.visible import one_line
from facet.v1 import gallery_service_pb2 as pb

Subjects = Annotated[list[str], typer.Argument(help="The subjects' ids.", show_default=False)]
_PAGE = 1000


@grouped_options
def consent(
    subjects: Annotated[list[str] | None, typer.Argument(help="The subjects' ids.", show_default=False)] = None,
    gallery: Gallery = "default",
    basis: terms.ConsentBasis = "",
    reference: terms.ConsentReference = "",
    time: terms.ConsentTime = "",
    missing_ones: Annotated[
        bool, typer.Option("--missing", help="Everybody in the gallery who has no recorded consent.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the record. The person stays enrolled.")] = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Record why people may be kept: their consent, or another legal basis.

    A record replaces the one before. Whoever withdraws a consent must be forgotten, unless another basis applies: see
    [b]forget[/b]. A gallery can require a record of everybody: see [b]facet gallery policy[/b].

    [b]Examples[/b]

      facet people consent yao --gallery team --basis consent --reference form-17
      facet people consent --missing --gallery team --basis contract
    """
    given = terms.consent_of(basis, reference, time, "--basis")
    if (given is None) != remove:
        console.fail("say either --basis, or --remove", console.USAGE)
    if bool(subjects) == missing_ones:
        console.fail("name subjects, or say --missing for everybody without a record", console.USAGE)
    with connection.open() as client:
        wanted = subjects or [
            each.subject_id for each in client.iter_subjects(gallery, page_size=_PAGE) if not each.HasField("consent")
        ]

        def change(subject: str) -> pb.Subject:
            cleared = ["consent"] if remove else []
            return client.update_subject(gallery, subject, consent=given, clear=cleared)

        changed = _each(wanted, change, lambda error, subject: missing(error, client, gallery, subject))
    _finish(changed, len(wanted), _consent, as_json=as_json)


@grouped_options
def expire(
    subjects: Subjects,
    gallery: Gallery = "default",
    at: Annotated[
        str,
        typer.Option(
            help="When: after a time (12h, 30d, 8w, 1y), or at one (2027-05-31, UTC).",
            show_default=False,
            metavar="TIME",
        ),
    ] = "",
    never: Annotated[bool, typer.Option("--never", help="Remove the time that was set.")] = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Set when people are erased with all their templates. From then on nobody finds them.

    The policy of the gallery may let them expire before; [b]--never[/b] does not change that. To erase somebody now,
    use [b]forget[/b].

    [b]Examples[/b]

      facet people expire yao --gallery team --at 2027-05-31
      facet people expire yao --gallery team --at 30d
    """
    time = terms.expiry_of(at, "--at")
    if (time is None) != never:
        console.fail("say either --at, or --never", console.USAGE)
    with connection.open() as client:

        def change(subject: str) -> pb.Subject:
            cleared = ["expire_time"] if never else []
            return client.update_subject(gallery, subject, expire_time=time, clear=cleared)

        changed = _each(subjects, change, lambda error, subject: missing(error, client, gallery, subject))
    _finish(changed, len(subjects), expiry, as_json=as_json)


def expiry(subject: pb.Subject) -> str:
    """Describe when a subject expires."""
    if not subject.HasField("effective_expire_time"):
        return "does not expire"
    is_own = subject.HasField("expire_time") and subject.expire_time == subject.effective_expire_time
    why = "" if is_own else ", by the policy of the gallery"
    return f"expires {utc(subject.effective_expire_time)} UTC{why}"


def _each(
    subjects: Sequence[str], change: Callable[[str], pb.Subject], explain: Callable[[NotFound, str], str]
) -> list[pb.Subject]:
    """Change subjects one after another; say which do not exist."""
    changed = []
    for subject in subjects:
        try:
            changed.append(change(subject))
        except NotFound as error:
            console.err.print(explain(error, subject))
    return changed


def _consent(subject: pb.Subject) -> str:
    return terms.describe(subject.consent) if subject.HasField("consent") else "no consent"


def _finish(
    changed: Sequence[pb.Subject], wanted: int, describe: Callable[[pb.Subject], str], *, as_json: bool
) -> NoReturn:
    """Print the changed subjects, and end the command: as failed if some of those wanted are not among them."""
    if as_json:
        console.print_json({"subjects": [as_dict(each) for each in changed]})
    else:
        for each in changed:
            console.out.print(f"{one_line(each.subject_id)}: {describe(each)}")
    raise typer.Exit(console.DONE if len(changed) == wanted else console.FAILED)

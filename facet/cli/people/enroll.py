"""``facet enroll``: enrol people from pictures."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from facet import AlreadyExists, Client, Enrollment, FacetError, NotFound, PermissionDenied
from facet.cli.people.odd_ones_out import odd_ones_out
from facet.cli.people.options import Gallery
from facet.cli.shared import choices, sources, terms
from facet.cli.shared.people_folder import PersonPicture
from facet.cli.shared.reasons import LOW_QUALITY, in_words
from facet.client.batches import EnrollmentAnswer
from facet.terminal import console
from facet.terminal.command_line.help import Command
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.command_line.program import spelled
from facet.terminal.connection import Connection, usual_address
from facet.terminal.counts import agreeing, counted, first
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.visible import one_line

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


_NO_PICTURE = "no file is a picture: add some, or convert those of other formats to JPEG"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one picture.

    Attributes:
        path: the picture's file.
        subject: the subject's id; empty if the picture does not say whom it shows.
        outcome: ``enrolled``, ``already_enrolled`` or ``rejected``.
        reason: why it was rejected, for programs; else empty.
        message: why it was rejected, for people; else empty.
        template_id: its template; empty if it was rejected, or not kept.
        turn: degrees, clockwise, after which the face was upright; 0 if it was, or if it was rejected.
        unlike: similarities to the person's other templates that it looks unlike, by their ids.
    """

    path: str
    subject: str
    outcome: str
    reason: str = ""
    message: str = ""
    template_id: str = ""
    turn: int = 0
    unlike: Mapping[str, float] = field(default_factory=dict)


@app.command(cls=Command)
@grouped_options
def enroll(
    context: typer.Context,
    pictures: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of people (NAME.jpg, NAME_2.jpg, NAME/picture.jpg), CSV manifests, or pictures.",
            show_default=False,
        ),
    ],
    gallery: Gallery = "default",
    subject: Annotated[str, typer.Option(help="The id of the person in all the pictures.", show_default=False)] = "",
    name: Annotated[str, typer.Option(help="The display name of --subject.", show_default=False)] = "",
    face: choices.Face = "",
    turn: choices.TurnOption = "auto",
    thorough: choices.Thorough = False,
    accept_low_quality: Annotated[
        bool,
        typer.Option(
            "--accept-low-quality",
            help="Accept faces that are too small, dark, noisy, overexposed, blurred, covered, turned away, or a "
            "negative.",
        ),
    ] = False,
    accept_lookalike: Annotated[
        bool,
        typer.Option(
            "--accept-lookalike",
            help="Accept faces that look like another person in the gallery. One person under two ids spoils its "
            "calibration.",
        ),
    ] = False,
    accept_unlike: Annotated[
        bool, typer.Option("--accept-unlike", help="Accept faces that look unlike all other pictures of the person.")
    ] = False,
    consent_basis: terms.ConsentBasis = "",
    consent_reference: terms.ConsentReference = "",
    consent_time: terms.ConsentTime = "",
    expires: terms.Expires = "",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check everything, keep nothing. If the gallery does not exist, a temporary one (dry-run-...) exists "
            "on the server during the check.",
        ),
    ] = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Enrol people from pictures. Creates the gallery if it does not exist.

    A folder of people holds a sub-folder per person, pictures named after people, or both. [i]Ann.jpg[/i],
    [i]Ann_2.jpg[/i] and [i]ann 03.jpeg[/i] are pictures of the subject [i]Ann[/i]. A manifest is a CSV file with the
    columns subject, path and, optionally, display_name, consent_basis, consent_reference, consent_time and expires.

    Pictures may be any way up: the server finds out, and the command names those that were turned. With [b]--turn[/b]
    you give the turn of all pictures. A face that is too small, dark, noisy, overexposed, blurred, covered, turned
    away, or a negative is rejected with the reason, because strangers would match it, or its person would not.

    A picture is rejected if its name says nobody ([i]44.jpg[/i], [i]IMG_0001.jpg[/i]) or may mean two people, and if it
    shows several faces, unless [b]--face[/b] chooses one. The others are enrolled. The command can be repeated: a
    picture that is already enrolled is not enrolled again.

    Hidden files, what systems put into folders ([i]@eaDir[/i], [i]Thumbs.db[/i]), and files that are no pictures are
    left out and named. A person who has no picture then counts as rejected.

    [b]Examples[/b]

      facet enroll people/ --gallery team
      facet enroll people.csv --gallery team
      facet enroll yao1.jpg yao2.jpg --subject yao --name "Yao Ming"
      facet enroll guests/ --gallery guests --consent-basis consent --expires 30d

    Exit code: 0 success, 1 something was rejected or failed, 2 bad usage.
    """
    consent = terms.consent_of(consent_basis, consent_reference, consent_time, "--consent-basis")
    expire_time = terms.expiry_of(expires, "--expires")
    people = sources.read(pictures, subject, name)
    choice = choices.parse(face)
    enrollments = [
        Enrollment(
            item.subject_id,
            item.path,
            display_name=item.display_name,
            face=choice,
            turn=choices.parse_turn(turn),
            consent=item.consent,
            expire_time=item.expire_time,
        )
        for item in people.pictures
    ]
    answered: dict[int, Outcome] = {}
    with (
        connection.open() as client,
        console.telling_when_stopped(lambda: _progress(answered.values(), len(enrollments), gallery, dry_run=dry_run)),
        interrupted_by_sigterm(),
        _gallery_for(client, gallery, dry_run=dry_run) as target,
        console.progress("enrolling", len(enrollments)) as bar,
    ):
        answers = client.enroll_batch(
            target,
            enumerate(enrollments),
            accept_low_quality=accept_low_quality,
            accept_lookalike=accept_lookalike,
            accept_unlike=accept_unlike,
            validate_only=dry_run,
            search=choices.search(thorough=thorough),
            consent=consent,
            expire_time=expire_time,
        )
        for number, answer in answers:
            answered[number] = _outcome(people.pictures[number], answer)
            bar.advance(bar.task_ids[0])
    outcomes = [answered[number] for number in sorted(answered)]
    outcomes += [Outcome(str(item.path), "", "rejected", item.reason, item.message) for item in people.unclear]
    outcomes += [
        Outcome(
            str(item.path),
            item.subject_id,
            "rejected",
            "NO_PICTURE",
            _NO_PICTURE,
        )
        for item in people.empty
    ]
    counts = Counter(outcome.outcome for outcome in outcomes)
    if as_json:
        left_out = [{"path": str(each.path), "reason": each.reason} for each in people.left_out]
        totals = {each: counts[each] for each in ("enrolled", "already_enrolled", "rejected")}
        console.print_json(
            totals | {"dry_run": dry_run, "pictures": [asdict(outcome) for outcome in outcomes], "left_out": left_out}
        )
    else:
        _report(outcomes, counts, gallery, connection.address, context.command_path, dry_run=dry_run)
    raise typer.Exit(console.FAILED if counts["rejected"] else console.DONE)


def _progress(answered: Collection[Outcome], total: int, gallery: str, *, dry_run: bool) -> str:
    """How far an interrupted run has come, and how to continue."""
    counts = Counter(outcome.outcome for outcome in answered)
    said = f"{len(answered)} of {counted(total, 'picture')} answered"
    if dry_run:
        return f"{said}; nothing was kept"
    return (
        f"{said}, {counts['enrolled']} enrolled in {gallery}, {counts['rejected']} rejected; "
        "repeat the command to continue"
    )


@contextmanager
def _gallery_for(client: Client, gallery: str, *, dry_run: bool) -> Iterator[str]:
    """Create the gallery if it is missing, and yield its id; for a dry run, yield a temporary one's instead."""
    try:
        client.get_gallery(gallery)
    except PermissionDenied as error:
        if error.reason != "SCOPE_MISSING":  # a caller that may enrol need not be able to look
            raise
    except NotFound:
        if dry_run:
            with _temporary_gallery(client) as temporary:
                yield temporary
            return
        with suppress(AlreadyExists):
            client.create_gallery(gallery)
    yield gallery


@contextmanager
def _temporary_gallery(client: Client) -> Iterator[str]:
    """Create a gallery and delete it at the end; a failure to delete it is reported, and the results still count."""
    gallery = f"dry-run-{uuid.uuid4()}"
    try:
        client.create_gallery(gallery)
        yield gallery
    finally:
        try:
            client.delete_gallery(gallery)
        except FacetError as error:
            console.err.print(f"the temporary gallery {gallery} may still exist: {error.message}")


def _outcome(item: PersonPicture, answer: EnrollmentAnswer) -> Outcome:
    if isinstance(answer, FacetError):
        reason = answer.reason or answer.code.name
        return Outcome(str(item.path), item.subject_id, "rejected", reason, answer.message)
    return Outcome(
        str(item.path),
        item.subject_id,
        "already_enrolled" if answer.already_enrolled else "enrolled",
        template_id=answer.template.template_id,
        turn=answer.face.turn,
        unlike={each.template_id: each.similarity for each in answer.unlike},
    )


def _report(
    outcomes: list[Outcome], counts: Counter[str], gallery: str, address: str, command: str, *, dry_run: bool
) -> None:
    rejected = [outcome for outcome in outcomes if outcome.outcome == "rejected"]
    for outcome in rejected:
        whom = f" for {one_line(outcome.subject)}" if outcome.subject else ""
        console.out.print(f"{one_line(outcome.path)}: rejected{whom}: {in_words(outcome.reason)}")
        console.out.print(f"    {outcome.message}")
    _report_turned(outcomes)
    _report_unlike(outcomes, gallery, address)
    verb = "would be enrolled" if dry_run else "enrolled"
    already = counts["already_enrolled"]
    people = {outcome.subject for outcome in outcomes if outcome.outcome != "rejected"}
    if without := sorted({outcome.subject for outcome in rejected} - people - {""}):
        console.out.print(f"no picture was taken of {first([one_line(each) for each in without])}")
    console.out.print(
        f"{gallery}: {counts['enrolled']} {verb}, {already} {agreeing(already, 'was')} already, "
        f"{counts['rejected']} rejected; {counted(len(people), 'person')}"
    )
    if any(outcome.reason == "SEVERAL_FACES" for outcome in rejected):
        console.out.print(
            f"To enrol one of several faces, repeat the command with --face central (large and near the middle) or "
            f"--face largest: {command} ... --face central"
        )
    if any(outcome.reason == "LOOKS_LIKE_ANOTHER_SUBJECT" for outcome in rejected):
        console.out.print(
            "If it is the same person, enrol the picture under the other id. --accept-lookalike is for two people who "
            "look alike: one person under two ids makes strangers of the gallery look more alike than they are, which "
            "spoils a calibration of the gallery against itself."
        )
    if any(outcome.reason in LOW_QUALITY for outcome in rejected):
        console.out.print(
            "Take better pictures of these faces: with --accept-low-quality they are enrolled, but strangers may match."
        )


def _report_turned(outcomes: list[Outcome]) -> None:
    """Say which pictures were turned: one whose face is upright for people was read wrongly."""
    turned = [f"{one_line(outcome.path)} ({outcome.turn}\u00b0)" for outcome in outcomes if outcome.turn]
    if turned:
        console.out.print(f"turned clockwise, so that the face is upright: {first(turned)}")


def _report_unlike(outcomes: list[Outcome], gallery: str, address: str) -> None:
    """Name the pictures that may show another person, and how to delete them."""
    where = "" if address == usual_address() else f" --address {quote(address)}"
    for outcome in outcomes:
        if outcome.unlike and not outcome.template_id:  # a dry run keeps no template
            against = ", ".join(f"template {other} ({value:.2f})" for other, value in outcome.unlike.items())
            console.out.print(f"{outcome.path}: looks unlike {against}, also of {outcome.subject}")
    for subject in sorted({outcome.subject for outcome in outcomes if outcome.unlike}):
        own = {each.template_id: each for each in outcomes if each.subject == subject and each.template_id}
        names = {template_id: each.path for template_id, each in own.items()}
        for odd, others in odd_ones_out({template_id: each.unlike for template_id, each in own.items()}):
            against = ", ".join(f"{names.get(other, f'template {other}')} ({value:.2f})" for other, value in others)
            console.out.print(f"{names.get(odd, f'template {odd}')}: looks unlike {against}, also of {subject}")
            console.out.print(
                f"    check which shows {subject}; to delete this one: "
                + spelled(f"facet people forget-template {quote(subject)} {odd} --gallery {quote(gallery)}{where}")
            )

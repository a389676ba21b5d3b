"""Enrol people from pictures; list, show, rename and forget them."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from facet import AlreadyExists, Client, FacetError, NotFound, from_status, picture
from facet.cli.shared import choices, sources
from facet.cli.shared.local_server import interrupted_by_sigterm
from facet.terminal import console
from facet.terminal.picture_files import Unsendable, most_bytes
from facet.terminal.picture_files import read as read_picture
from facet.terminal.rendering import as_dict, threshold_line
from facet.v1 import gallery_service_pb2 as pb

WORDS = {
    "FACE_NOT_FOUND": "no face",
    "SEVERAL_FACES": "several faces",
    "FACE_TOO_SMALL": "too small",
    "FACE_TOO_BLURRED": "too blurred",
    "FACE_TOO_TURNED": "too turned",
    "LOOKS_LIKE_ANOTHER_SUBJECT": "looks like somebody else already enrolled",
    "TOO_MANY_TEMPLATES": "the subject has the most templates allowed",
    "INVALID_PICTURE": "not a readable picture",
    "PICTURE_TOO_LARGE": "too many pixels",
    "CANNOT_READ": "the file cannot be read",
    "FILE_TOO_LARGE": "the file is larger than the server takes",
}


class _AddByDefault(TyperGroup):
    """``enroll.py people/`` means ``enroll.py add people/``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["add", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(
    cls=_AddByDefault,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""Enrol people from pictures; list, show, rename and forget them.

[b]Examples[/b]

  enroll.py people/ --gallery team                     people/NAME/picture.jpg
  enroll.py people.csv --gallery team                  columns: subject, path, display_name
  enroll.py yao1.jpg yao2.jpg --subject yao --name "Yao Ming"
  enroll.py list --gallery team
  enroll.py forget yao --gallery team

The same command can be run again: what is enrolled already is not enrolled twice. With [b]--json[/b] every command
prints JSON for programs.

Exit code: 0 all is done, 1 something was rejected or failed, 2 bad usage.""",
)

Gallery = Annotated[str, typer.Option(help="The gallery.")]
SubjectId = Annotated[str, typer.Argument(help="The subject's id.", show_default=False)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a picture: enrolled, already_enrolled, or rejected for a reason."""

    path: str
    subject: str
    outcome: str
    reason: str = ""
    message: str = ""


@app.command()
def add(
    pictures: Annotated[
        list[Path],
        typer.Argument(help="Folders of people (NAME/picture.jpg), CSV manifests, or pictures.", show_default=False),
    ],
    gallery: Gallery = "default",
    subject: Annotated[str, typer.Option(help="Whose the pictures are.", show_default=False)] = "",
    name: Annotated[str, typer.Option(help="The name of that subject.", show_default=False)] = "",
    face: choices.Face = "",
    accept_low_quality: Annotated[
        bool, typer.Option("--accept-low-quality", help="Also faces that are too small, blurred or turned.")
    ] = False,
    accept_lookalike: Annotated[
        bool, typer.Option("--accept-lookalike", help="Also faces that look like somebody else in the gallery.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check everything, keep nothing. Where the gallery does not exist, the server has a temporary one "
            "(dry-run-...) until the check is over.",
        ),
    ] = False,
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Enrol pictures. The gallery is created where it does not exist.

    A picture with several faces is rejected unless [b]--face[/b] says which is meant.
    """
    items = sources.read(pictures, subject, name)
    template = pb.EnrollFaceRequest(
        gallery_id=gallery,
        face=choices.parse(face),
        accept_low_quality=accept_low_quality,
        accept_lookalike=accept_lookalike,
        validate_only=dry_run,
    )
    with (
        console.connect(address, token, root_certificates) as client,
        interrupted_by_sigterm(),
        _gallery_for(client, template),
    ):
        outcomes = _enroll_all(client, items, template)
    counts = Counter(outcome.outcome for outcome in outcomes)
    if as_json:
        totals = {each: counts[each] for each in ("enrolled", "already_enrolled", "rejected")}
        console.print_json(totals | {"dry_run": dry_run, "pictures": [asdict(outcome) for outcome in outcomes]})
    else:
        _report(outcomes, counts, gallery, dry_run=dry_run)
    raise typer.Exit(console.FAILED if counts["rejected"] else console.DONE)


@app.command("list")
def list_subjects(
    gallery: Gallery = "default",
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """List the people of a gallery."""
    with console.connect(address, token, root_certificates) as client:
        found = client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery)).gallery
        subjects = list(client.subjects(gallery))
    if as_json:
        said = {
            "gallery": gallery,
            "threshold": found.threshold,
            "calibration_state": as_dict(found)["calibration_state"],
        }
        console.print_json(said | {"subjects": [as_dict(subject) for subject in subjects]})
        return
    table = Table("subject", "name", "templates", "enrolled (UTC)", title=f"{gallery}: {len(subjects)} people")
    for subject in subjects:
        table.add_row(subject.subject_id, subject.display_name, str(subject.template_count), _when(subject.create_time))
    console.out.print(table)
    console.out.print(threshold_line(found))


@app.command()
def show(
    subject: SubjectId,
    gallery: Gallery = "default",
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Show a person and their templates."""
    with console.connect(address, token, root_certificates) as client:
        request = pb.GetSubjectRequest(gallery_id=gallery, subject_id=subject)
        person = client.galleries.GetSubject(request).subject
        templates = list(_templates(client, gallery, subject))
    if as_json:
        console.print_json({"subject": as_dict(person), "templates": [as_dict(each) for each in templates]})
        return
    title = f"{person.subject_id}: {person.display_name or 'no name'}, since {_when(person.create_time)} UTC"
    table = Table("template", "quality", "picture's SHA-256", "enrolled (UTC)", title=title)
    for each in templates:
        table.add_row(each.template_id, f"{each.quality:.2f}", each.picture_sha256[:16], _when(each.create_time))
    console.out.print(table)


@app.command()
def rename(
    subject: SubjectId,
    name: Annotated[str, typer.Argument(help="The new name.", show_default=False)],
    gallery: Gallery = "default",
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Give a person another name; the id stays."""
    with console.connect(address, token, root_certificates) as client:
        wanted = pb.Subject(gallery_id=gallery, subject_id=subject, display_name=name)
        request = pb.UpdateSubjectRequest(subject=wanted)
        request.update_mask.paths.append("display_name")
        renamed = client.galleries.UpdateSubject(request).subject
    if as_json:
        console.print_json(as_dict(renamed))
    else:
        console.out.print(f"{renamed.subject_id} is now {renamed.display_name}")


@app.command()
def forget(
    subjects: Annotated[list[str], typer.Argument(help="The subjects' ids.", show_default=False)],
    gallery: Gallery = "default",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Forget people: their names and all their templates. This cannot be undone."""
    if not yes:
        if not sys.stdin.isatty():
            console.fail("forgetting cannot be undone: say --yes", console.USAGE)
        typer.confirm(f"Forget {', '.join(subjects)} in {gallery}? This cannot be undone", abort=True, err=True)
    forgotten: dict[str, int] = {}
    with console.connect(address, token, root_certificates) as client:
        for subject in subjects:
            try:
                request = pb.DeleteSubjectRequest(gallery_id=gallery, subject_id=subject)
                forgotten[subject] = client.galleries.DeleteSubject(request).templates_deleted
            except NotFound as error:
                console.err.print(error.message)
    if as_json:
        console.print_json({"forgotten": forgotten})
    else:
        for subject, templates in forgotten.items():
            console.out.print(f"forgot {subject} and {templates} templates")
    raise typer.Exit(console.DONE if len(forgotten) == len(subjects) else console.FAILED)


@contextmanager
def _gallery_for(client: Client, request: pb.EnrollFaceRequest) -> Iterator[None]:
    """Create the gallery where there is none; a dry run gets one of its own, and the request is pointed at it."""
    try:
        client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=request.gallery_id))
    except NotFound:
        if request.validate_only:
            request.gallery_id = f"dry-run-{uuid.uuid4()}"
            with _temporary_gallery(client, request.gallery_id):
                yield
            return
        with suppress(AlreadyExists):
            client.create_gallery(request.gallery_id)
    yield


@contextmanager
def _temporary_gallery(client: Client, gallery: str) -> Iterator[None]:
    """A gallery that is deleted in the end; where that fails, it is said, and what was found out still counts."""
    try:
        client.create_gallery(gallery)
        yield
    finally:
        try:
            client.galleries.DeleteGallery(pb.DeleteGalleryRequest(gallery_id=gallery))
        except FacetError as error:
            console.err.print(f"the temporary gallery {gallery} may be left over: {error.message}")


def _enroll_all(client: Client, items: list[sources.Item], template: pb.EnrollFaceRequest) -> list[Outcome]:
    """Enrol every item through one stream; the outcomes in the order of the items."""
    most = most_bytes(client)
    outcomes: dict[int, Outcome] = {}

    def requests() -> Iterator[pb.EnrollBatchRequest]:
        for number, item in enumerate(items):
            try:
                data = picture(read_picture(item.path, most))
            except Unsendable as error:
                outcomes[number] = _rejected(item, error.reason, error.message)
                bar.advance(bar.task_ids[0])
                continue
            request = pb.EnrollFaceRequest(subject_id=item.subject_id, display_name=item.display_name, picture=data)
            request.MergeFrom(template)
            yield pb.EnrollBatchRequest(item_id=str(number), enrollment=request)

    with console.progress("enrolling", len(items)) as bar:
        for response in client.galleries.EnrollBatch(requests()):
            number = int(response.item_id)
            outcomes[number] = _outcome(items[number], response)
            bar.advance(bar.task_ids[0])
    return [outcomes[number] for number in sorted(outcomes)]


def _rejected(item: sources.Item, reason: str, message: str) -> Outcome:
    return Outcome(str(item.path), item.subject_id, "rejected", reason, message)


def _outcome(item: sources.Item, response: pb.EnrollBatchResponse) -> Outcome:
    if response.status.code:
        error = from_status(response.status)
        return _rejected(item, error.reason or error.code.name, error.message)
    outcome = "already_enrolled" if response.enrollment.already_enrolled else "enrolled"
    return Outcome(str(item.path), item.subject_id, outcome)


def _report(outcomes: list[Outcome], counts: Counter[str], gallery: str, *, dry_run: bool) -> None:
    rejected = [outcome for outcome in outcomes if outcome.outcome == "rejected"]
    if rejected:
        table = Table("picture", "subject", "why", "in detail", title="rejected", title_justify="left")
        for outcome in rejected:
            table.add_row(outcome.path, outcome.subject, WORDS.get(outcome.reason, outcome.reason), outcome.message)
        console.out.print(table)
    verb = "would be enrolled" if dry_run else "enrolled"
    people = len({outcome.subject for outcome in outcomes if outcome.outcome != "rejected"})
    console.out.print(
        f"{gallery}: {counts['enrolled']} {verb}, {counts['already_enrolled']} were already, "
        f"{counts['rejected']} rejected; {people} people"
    )
    if any(outcome.reason == "SEVERAL_FACES" for outcome in rejected):
        console.out.print("for pictures with several faces say --face central, --face largest or a box")


def _templates(client: Client, gallery: str, subject: str) -> Iterator[pb.Template]:
    request = pb.ListTemplatesRequest(gallery_id=gallery, subject_id=subject)
    while True:
        page = client.galleries.ListTemplates(request)
        yield from page.templates
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _when(moment: Any) -> str:
    return f"{moment.ToDatetime():%Y-%m-%d %H:%M:%S}"

"""``facet gallery policy``: what a gallery demands of the people in it, and how long it keeps them."""

from __future__ import annotations

from typing import Annotated

import typer

from facet.cli.shared import terms
from facet.cli.shared.confirmation import Yes, confirm
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import counted
from facet.terminal.rendering import as_dict
from facet.v1 import gallery_service_pb2 as pb


@grouped_options
def policy(
    gallery: Annotated[str, typer.Argument(help="The gallery.", show_default=False)],
    require_consent: Annotated[
        bool | None,
        typer.Option(
            "--require-consent/--no-require-consent",
            help="Whether everybody in the gallery needs a recorded consent.",
            show_default=False,
        ),
    ] = None,
    subject_retention: Annotated[
        str,
        typer.Option(
            help="How long people are kept after they were enrolled, or after a later consent: 12h, 30d, 8w, 1y, or "
            "none.",
            show_default=False,
            metavar="DURATION",
        ),
    ] = "",
    template_retention: Annotated[
        str,
        typer.Option(help="How long a template is kept after it was enrolled.", show_default=False, metavar="DURATION"),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would expire, change nothing.")] = False,
    yes: Yes = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Show or change what a gallery demands of the people in it, and how long it keeps them.

    A policy applies to everybody, also to those who are enrolled already. If a shorter retention lets somebody expire
    at once, the command says how many and asks first. What is not named stays as it is.

    [b]Examples[/b]

      facet gallery policy team
      facet gallery policy team --subject-retention 365d --dry-run
      facet gallery policy team --require-consent --template-retention none
    """
    with connection.open() as client:
        found = client.get_gallery(gallery)
        wanted = pb.GalleryPolicy()
        wanted.CopyFrom(found.policy)
        if require_consent is not None:
            wanted.require_consent = require_consent
        for name, text in (("subject_retention", subject_retention), ("template_retention", template_retention)):
            if text:
                duration = terms.retention(text, f"--{name.replace('_', '-')}")
                wanted.ClearField(name)  # type: ignore[arg-type] # one of two fields
                if duration is not None:
                    getattr(wanted, name).FromTimedelta(duration)
        request = pb.UpdateGalleryRequest(
            gallery=pb.Gallery(gallery_id=gallery, policy=wanted, etag=found.etag), validate_only=True
        )
        request.update_mask.paths.append("policy")
        answer = pb.UpdateGalleryResponse(gallery=found)
        if wanted != found.policy:
            answer = client.galleries.UpdateGallery(request)
            if not dry_run:
                if answer.templates_expiring or answer.subjects_expiring:
                    confirm(f"Erase {_expiring(answer)} of {gallery}?", yes=yes)
                request.validate_only = False
                answer = client.galleries.UpdateGallery(request)
    if as_json:
        said = {"subjects_expiring": answer.subjects_expiring, "templates_expiring": answer.templates_expiring}
        console.print_json({"gallery": gallery, "dry_run": dry_run, "policy": as_dict(answer.gallery.policy)} | said)
        return
    console.out.print(f"{gallery}: {in_words(answer.gallery.policy)}")
    if answer.templates_expiring or answer.subjects_expiring:
        verb = "would expire" if dry_run else "expired, and will be erased"
        console.out.print(f"{_expiring(answer)} {verb}")


def in_words(given: pb.GalleryPolicy) -> str:
    """Describe a policy."""
    parts = ["requires a consent of everybody" if given.require_consent else "requires no consent"]
    for name, whom in (("subject_retention", "people"), ("template_retention", "templates")):
        if given.HasField(name):  # type: ignore[arg-type] # one of two fields
            parts.append(f"keeps {whom} for {terms.in_words(getattr(given, name).ToTimedelta())}")
    return "; ".join(parts)


def _expiring(answer: pb.UpdateGalleryResponse) -> str:
    people = counted(answer.subjects_expiring, "person")
    return f"{people} and {counted(answer.templates_expiring, 'template')}"

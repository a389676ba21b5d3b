"""``facet gallery copy``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from facet import FacetError, NotFound
from facet.cli.gallery.copying.exports import Export, differences
from facet.cli.gallery.copying.two_servers import Side, TwoServers
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.command_line.program import spelled
from facet.terminal.counts import counted
from facet.terminal.interruption import interrupted_by_sigterm
from facet.v1 import gallery_service_pb2 as pb
from gallery.errors import InvalidImport
from gallery.transfer.manifest import Manifest

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Copied:
    """A gallery after the command.

    Attributes:
        gallery: its id at the one server.
        copy: its id at the other.
        status: "copied", "unchanged" if an equal copy was there before, "outdated" if the gallery has changed while it
            was copied, so that the copy is as it was at the beginning, or "failed".
        subjects: people in the copy.
        templates: templates in the copy.
        contents_sha256: digest of all their values.
        changed: what has changed meanwhile.
    """

    gallery: str
    copy: str
    status: str
    subjects: int = 0
    templates: int = 0
    contents_sha256: str = ""
    changed: tuple[str, ...] = ()


@grouped_options
def copy(
    galleries: Annotated[list[str] | None, typer.Argument(help="The galleries.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All galleries of --from that this key may see.")] = False,
    under: Annotated[str, typer.Option("--as", help="The id of the copy, if one gallery is copied.")] = "",
    *,
    servers: TwoServers,
    as_json: console.AsJson = False,
) -> None:
    """Copy galleries from one running server to another one, and compare both afterwards.

    A copy has everybody with ids, names, consents and expiries, all templates with their embeddings, provenance and
    kept crops, pairs told apart, threshold, calibration, policy, and a migration that is under way. It does not have
    corrections that can be undone, request ids, what was said about answers, observations, and records of erasures.

    A copy appears once it is complete. If the command ends early, repeat it: galleries whose copies are there and equal
    are not copied again. Afterwards both galleries are read and compared, all embeddings among them.

    To move: stop what enrols and corrects people, copy, and let the clients use the other server. A gallery that
    changes while it is copied is reported, and the exit code is 1.

    FACET_FROM_TOKEN and FACET_TO_TOKEN have the keys of the two servers, FACET_FROM_CA and FACET_TO_CA the certificates
    to check them against. Without them FACET_CA holds for both, and FACET_TOKEN for --from.

    If a gallery cannot be copied, the command says why and goes on with the next.

    [b]Examples[/b]

      facet gallery copy team --from 127.0.0.1:50051 --to db.example.org:50051
      facet gallery copy --all --from 127.0.0.1:50051 --to db.example.org:50051

    Exit code: 0 all are copied, 1 something failed or has changed meanwhile, 2 bad usage.
    """
    _check(galleries, everything=everything, under=under, servers=servers)
    done: list[Copied] = []
    with (
        servers.open() as (source, target),
        console.telling_when_stopped(lambda: f"{counted(len(done), 'gallery')} done; repeat the command to go on"),
        interrupted_by_sigterm(),
    ):
        if everything:
            with source.blamed():
                galleries = [each.gallery_id for each in source.client.iter_galleries(page_size=_PAGE)]
        for gallery in galleries or ():
            try:
                done.append(_copied(source, target, gallery, under or gallery))
            except typer.Exit:  # it has said why
                done.append(Copied(gallery, under or gallery, "failed"))
            if not as_json:
                _tell(done[-1], target)
    if as_json:
        console.print_json({"galleries": [asdict(each) for each in done]})
    if any(each.status in ("outdated", "failed") for each in done):
        raise typer.Exit(console.FAILED)


def _check(galleries: list[str] | None, *, everything: bool, under: str, servers: TwoServers) -> None:
    if bool(galleries) == everything:
        console.fail("name the galleries, or add --all", console.USAGE)
    if under and (everything or len(galleries or ()) != 1):
        console.fail("--as names the copy of one gallery", console.USAGE)
    if not servers.target:
        console.fail("--to is missing: the server that gets the galleries, host:port", console.USAGE)
    if servers.source == servers.target and (not under or under in (galleries or ())):
        console.fail("--from and --to are the same server: add --as NAME for a copy beside the gallery", console.USAGE)


def _copied(source: Side, target: Side, gallery: str, copy_id: str) -> Copied:
    with source.blamed():
        expected = source.client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery)).gallery.template_count
    status = "unchanged" if _exists(target, copy_id) else "copied"
    if status == "copied":
        sent = _send(source, target, gallery, copy_id, expected)
        copy = _read(target, copy_id, expected, "comparing")
        if differing := differences(sent, copy):
            console.fail(f"the copy {copy_id!r} differs in {', '.join(differing)} from what was sent; delete it")
        now = _read(source, gallery, expected, "comparing")
    else:
        copy = _read(target, copy_id, expected, f"comparing {copy_id}")
        sent = now = _read(source, gallery, expected, "comparing")
        if differing := differences(now, copy):
            console.fail(
                f"{target.connection.address} has another gallery {copy_id!r} already: it differs in "
                f"{', '.join(differing)}. Copy to another id with --as, or delete it there"
            )
    changed = tuple(differences(sent, now))
    counts = copy.subjects, copy.templates, copy.contents_sha256
    return Copied(gallery, copy_id, "outdated" if changed else status, *counts, changed)


def _send(source: Side, target: Side, gallery: str, copy_id: str, expected: int) -> Manifest:
    with _export(source, gallery, expected, f"copying {gallery}") as export:
        try:
            target.client.import_gallery(iter(export), copy_id)
        except FacetError as error:
            (target if export.failure is None else source).fail(export.failure or error)
        return export.manifest()


def _read(side: Side, gallery: str, expected: int, description: str) -> Manifest:
    with side.blamed(), _export(side, gallery, expected, description) as export:
        return export.read()


@contextmanager
def _export(side: Side, gallery: str, expected: int, description: str) -> Iterator[Export]:
    with console.progress(description, expected) as bar:
        try:
            yield Export(side.client, gallery, lambda templates: bar.update(bar.task_ids[0], completed=templates))
        except InvalidImport as error:
            console.fail(f"{side.connection.address} did not send a whole gallery {gallery!r}: {error}")


def _exists(side: Side, gallery: str) -> bool:
    with side.blamed():
        try:
            side.client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery))
        except NotFound:
            return False
        return True


def _tell(copied: Copied, target: Side) -> None:
    name = copied.gallery if copied.copy == copied.gallery else f"{copied.gallery} as {copied.copy}"
    counts = f"{counted(copied.templates, 'template')} of {counted(copied.subjects, 'person')}"
    if copied.status == "failed":
        console.err.print(f"{name}: not copied")
    elif copied.status == "unchanged":
        console.out.print(f"{name}: the copy was there before, and is equal: {counts}")
    elif copied.status == "copied":
        console.out.print(f"{name}: {counts} copied and compared, SHA-256 {copied.contents_sha256}")
    else:
        delete = spelled(f"facet gallery delete {copied.copy} --force --address {target.connection.address}")
        console.err.print(
            f"{name}: {counts} copied, but the gallery has changed meanwhile ({', '.join(copied.changed)}). The copy "
            f"is as it was at the beginning. Stop what changes it, delete the copy with {delete}, and copy it again"
        )

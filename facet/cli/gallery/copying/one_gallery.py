"""How one gallery is copied and compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import Progress

from facet import FacetError, NotFound
from facet.cli.gallery.copying.exports import Export, differences
from facet.cli.gallery.copying.two_servers import NotCopied, Side
from facet.terminal import console
from facet.terminal.command_line.program import spelled
from facet.terminal.visible import one_line
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import migrations_pb2
from gallery.errors import InvalidImport
from gallery.transfer.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Copied:
    """A gallery after the command.

    Attributes:
        gallery: its id at the one server.
        copy: its id at the other.
        status: "copied", "unchanged" if an equal copy was there before, "same" if that was this very gallery, because
            the servers share a database, or one has a backup of the other's, "outdated" if the gallery has changed
            while it was copied, so that the copy is as it was at the beginning, or "failed".
        subjects: people in the copy.
        templates: templates in the copy.
        contents_sha256: digest of all their values.
        changed: what has changed meanwhile.
        error: why it failed.
    """

    gallery: str
    copy: str
    status: str
    subjects: int = 0
    templates: int = 0
    contents_sha256: str = ""
    changed: tuple[str, ...] = ()
    error: str = ""


def copied(source: Side, target: Side, gallery: str, copy_id: str) -> Copied:
    """Copy a gallery unless its copy is there, and compare both.

    Raises:
        NotCopied: one of the servers failed, there is another gallery of this id, or the copy is not what was sent.
    """
    with source.blamed():
        original = source.client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery)).gallery
    there = _existing(target, copy_id)
    if there is None:
        _check_models(source, target, original)
        _check_migration(source, original)
        sent = _send(source, target, original, copy_id)
    copy = _read(target, copy_id, original.template_count)
    now = _read(source, gallery, original.template_count)
    changed = differences(now, copy)
    if there is not None:
        if changed:
            raise NotCopied(
                f"{target.address} has another gallery {copy_id!r} already: it differs in {', '.join(changed)}. Copy "
                "to another id with --as, or delete it there"
            )
        is_same = (there.etag, there.create_time) == (original.etag, original.create_time)
        status = "same" if is_same else "unchanged"
    elif changed and (lost := differences(sent, copy)):
        raise NotCopied(
            f"the copy {copy_id!r} differs in {', '.join(lost)} from what was sent: it was changed meanwhile, somebody "
            "in it has expired, or its migration went on. Delete it there, and copy it again"
        )
    else:
        status = "outdated" if changed else "copied"
    return Copied(gallery, copy_id, status, copy.subjects, copy.templates, copy.contents_sha256, tuple(changed))


def _existing(side: Side, gallery: str) -> pb.Gallery | None:
    with side.blamed():
        try:
            return side.client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery)).gallery
        except NotFound:
            return None


def _check_models(source: Side, target: Side, gallery: pb.Gallery) -> None:
    """Find out before a long copy whether the target has the gallery's model. While it loads its models, it decides."""
    models = {model.contract: one_line(model.name) for model in target.info.embedding_models}
    if models and gallery.contract not in models:
        names = {model.contract: one_line(model.name) for model in source.info.embedding_models}
        name = names.get(gallery.contract, f"the contract {gallery.contract}")
        raise NotCopied(
            f"its embeddings are of {name}, and {target.address} embeds with {' and '.join(models.values())}: start "
            "that server with this model, as models.embedding or models.embedding_next, or migrate the gallery first "
            "with facet gallery migrate"
        )


def _check_migration(source: Side, gallery: pb.Gallery) -> None:
    """Refuse a gallery whose embeddings are being made: both servers would make some while they are compared."""
    migration = gallery.migration
    if migration.state == migrations_pb2.MIGRATION_STATE_EMBEDDING and not migration.problem:
        status = spelled(f"facet gallery migrate status {gallery.gallery_id} --address {source.address}")
        raise NotCopied(
            f"its migration makes embeddings, {migration.templates_waiting} are waiting: copy it once {status} says "
            "that they are made"
        )


def _send(source: Side, target: Side, gallery: pb.Gallery, copy_id: str) -> Manifest:
    with _passing(source, gallery.gallery_id, gallery.template_count, f"copying {gallery.gallery_id}") as (export, bar):

        def pieces() -> Iterator[bytes]:
            yield from export
            bar.remove_task(bar.task_ids[0])
            bar.add_task(f"storing {copy_id}", total=None)

        try:
            target.client.import_gallery(pieces(), copy_id)
        except FacetError as error:
            (target if export.failure is None else source).blame(export.failure or error)
        return export.manifest()


def _read(side: Side, gallery: str, expected: int) -> Manifest:
    with side.blamed(), _passing(side, gallery, expected, f"comparing {gallery}") as (export, _):
        return export.read()


@contextmanager
def _passing(side: Side, gallery: str, expected: int, description: str) -> Iterator[tuple[Export, Progress]]:
    """An export on its way, and the bar that it moves."""
    with console.progress(description, expected) as bar:
        try:
            yield Export(side.client, gallery, lambda templates: bar.update(bar.task_ids[0], completed=templates)), bar
        except InvalidImport as error:
            raise NotCopied(f"{side.address} did not send a whole gallery {gallery!r}: {error}") from None

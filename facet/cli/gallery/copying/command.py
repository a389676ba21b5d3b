"""``facet gallery copy``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from facet.cli.gallery.copying.one_gallery import Copied, copied
from facet.cli.gallery.copying.two_servers import NotCopied, ServerLost, Side, TwoServers
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.command_line.program import spelled
from facet.terminal.counts import counted
from facet.terminal.interruption import interrupted_by_sigterm

_PAGE = 1000


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
    are not copied again. Afterwards both galleries are read and compared, all embeddings among them. Both servers count
    these readings as exports.

    To move: stop what enrols and corrects people, copy, and let the clients use the other server. A gallery that
    changes while it is copied is reported, and the exit code is 1. If a gallery cannot be copied, the command says why
    and goes on with the next.

    The keys need the scope admin. FACET_FROM_TOKEN and FACET_TO_TOKEN have them, FACET_FROM_CA and FACET_TO_CA name the
    certificates to check the servers against. Without the two of --from, FACET_TOKEN and FACET_CA hold for it.

    [b]Examples[/b]

      facet gallery copy team --from 127.0.0.1:50051 --to db.example.org:50051
      facet gallery copy --all --from 127.0.0.1:50051 --to db.example.org:50051

    Exit code: 0 all are copied, 1 something failed or has changed meanwhile, 2 bad usage.
    """
    _check(galleries, everything=everything, under=under, servers=servers)
    done: list[Copied] = []
    try:
        with (
            console.telling_when_stopped(
                lambda: f"{counted(sum(not each.error for each in done), 'gallery')} done; repeat the command to go on"
            ),
            interrupted_by_sigterm(),
            servers.open() as (source, target),
        ):
            _check_differ(source, target, allowed=bool(under) and under not in (galleries or ()))
            if everything:
                with source.blamed():
                    galleries = [each.gallery_id for each in source.client.iter_galleries(page_size=_PAGE)]
            for each in _copies(source, target, galleries or (), under):
                done.append(each)
                if each.error or not as_json:
                    _tell(each, target)
    except NotCopied as error:
        console.fail(str(error))
    if as_json:
        console.print_json({"galleries": [asdict(each) for each in done]})
    elif everything and not done:
        console.out.print(f"there are no galleries at {servers.source}")
    if any(each.status in ("outdated", "failed") for each in done):
        raise typer.Exit(console.FAILED)


def _check(galleries: list[str] | None, *, everything: bool, under: str, servers: TwoServers) -> None:
    if bool(galleries) == everything:
        console.fail("name the galleries, or add --all", console.USAGE)
    if under and (everything or len(galleries or ()) != 1):
        console.fail("--as names the copy of one gallery", console.USAGE)
    if not servers.target:
        console.fail("--to is missing: the server that gets the galleries, host:port", console.USAGE)
    if not servers.source:
        console.fail("--from is empty: the server that has the galleries, host:port", console.USAGE)


def _check_differ(source: Side, target: Side, *, allowed: bool) -> None:
    """Refuse one server under two names, such as localhost and 127.0.0.1: its galleries would count as their copies."""
    if source.info.start_time == target.info.start_time and not allowed:
        console.fail("--from and --to are the same server: add --as NAME for a copy beside the gallery", console.USAGE)


def _copies(source: Side, target: Side, galleries: Iterable[str], under: str) -> Iterator[Copied]:
    """Copy one gallery after the other. Once a server is lost, the others are not tried any more."""
    lost: ServerLost | None = None
    for gallery in galleries:
        try:
            if lost is not None:
                raise lost
            yield copied(source, target, gallery, under or gallery)
        except NotCopied as error:
            lost = error if isinstance(error, ServerLost) else None
            yield Copied(gallery, under or gallery, "failed", error=str(error))


def _tell(done: Copied, target: Side) -> None:
    name = done.gallery if done.copy == done.gallery else f"{done.gallery} as {done.copy}"
    counts = f"{counted(done.templates, 'template')} of {counted(done.subjects, 'person')}"
    if done.status == "failed":
        console.err.print(f"{name}: not copied: {done.error}")
    elif done.status == "unchanged":
        console.out.print(f"{name}: the copy was there before, and is equal: {counts}")
    elif done.status == "same":
        console.out.print(
            f"{name}: both servers have this very gallery, because they share a database, or one has a backup of the "
            f"other's: {counts}"
        )
    elif done.status == "copied":
        console.out.print(f"{name}: {counts} copied and compared, SHA-256 {done.contents_sha256}")
    else:
        delete = spelled(f"facet gallery delete {done.copy} --force --address {target.address}")
        console.err.print(
            f"{name}: {counts} copied, but the gallery has changed meanwhile ({', '.join(done.changed)}). The copy "
            f"is as it was at the beginning. Stop what changes it, delete the copy with {delete}, and copy it again"
        )

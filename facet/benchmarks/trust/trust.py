"""``facet bench trust``: what TLS, keys, encryption at rest and the audit log cost."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from facet import FacetError
from facet.benchmarks.serving.pictures import samples
from facet.benchmarks.this_machine import this_machine
from facet.benchmarks.trust.at_rest import AtRest, measure
from facet.benchmarks.trust.calls import changes, enrolments, prepare, searches, small_calls
from facet.benchmarks.trust.figures import Trust
from facet.benchmarks.trust.key_timing import key_timing
from facet.benchmarks.trust.revocation import revoked_after
from facet.benchmarks.trust.servers import Secured, plain_client, secured_server
from facet.benchmarks.trust.tables import show
from facet.runtime.models import ModelError
from facet.server import logging as logs
from facet.server.access.callers import key
from facet.server.config import LogConfig
from facet.terminal import console, private_files
from facet.terminal.console import AsJson
from facet.v1.server_service_pb2 import GetServerInfoResponse
from gallery.encryption.master_keys import new_key
from gallery.errors import GalleryError

_REVOKED = 5
"""Keys that are revoked, each with an open stream."""


def trust(
    templates: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="Templates of the encrypted gallery.")
    ] = 100_000,
    starts: Annotated[int, typer.Option(min=1, help="How often each server of the gallery is started.")] = 5,
    rounds: Annotated[int, typer.Option(min=10, help="Calls of each kind and server.")] = 2000,
    as_json: AsJson = False,
) -> None:
    """Measure what TLS, keys, encryption at rest and the audit log cost.

    Starts servers on loopback that differ in one protection from a plain one. Both answer the same calls in turns, so
    that changes in the machine's speed affect both. What counts, and the bar for each:

      tls_key_ms    what TLS and a key add to GetGallery, median of paired
                    calls, at most 1
      revoke_s      seconds from the revocation of a key to the end of the
                    stream that it has open, at most 1
      audit_p50_ms  what the audit log adds to SearchEmbedding, at most 0.2
      start_ratio   start of a server whose gallery is encrypted over that of
                    a plain one, at most 1.1
      search_ratio  the same for SearchEmbedding, at most 1.05: two plain
                    servers differ as much
      key_timing_us by how much the refusals of keys differ whose id, first
                    byte or last byte is wrong, at most 0.5 microseconds

    The default takes about three minutes on two cores. docs/performance.md has results.

    [b]Examples[/b]

      facet bench trust
      facet bench trust --templates 10000 --starts 3 --rounds 200 --json

    Exit code: 0 all figures are within their bars, 1 one is not, 2 bad usage.
    """
    logs.configure(LogConfig(level="error"))
    try:
        with tempfile.TemporaryDirectory(prefix="facet-bench-") as folder:
            measured = _measure(Path(folder), templates, starts, rounds)
    except (ModelError, FacetError, GalleryError, OSError, RuntimeError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(measured.document())
    else:
        show(measured)
    if measured.missed():
        raise typer.Exit(console.FAILED)


def _measure(folder: Path, templates: int, starts: int, rounds: int) -> Trust:
    portrait = samples(None).one.data
    with plain_client() as plain:
        prepare(plain, portrait)
        info = plain.get_server_info()
        with secured_server(folder, _REVOKED + 1) as (server, (lasting, *revoked)), server.client(lasting) as client:
            prepare(client, portrait)
            tls_key = small_calls(plain, client, rounds)
            revoke_s = max(_revoked(server, each) for each in revoked)
        with plain_client("--audit.folder", str(folder / "audit")) as client:
            prepare(client, portrait)
            audited, changed = searches(plain, client, rounds), changes(plain, client, max(rounds // 10, 1))
        always = ("--audit.folder", str(folder / "audit-always"), "--audit.fsync", "always")
        with plain_client(*always) as client:
            prepare(client, portrait)
            enrolled = enrolments(plain, client, portrait, max(rounds // 40, 1))
    return Trust(
        tls_key_ms=tls_key.added_ms,
        revoke_s=round(revoke_s, 2),
        audit_p50_ms=audited.added_ms,
        audit_change_ms=changed.added_ms,
        audit_always_ms=enrolled.added_ms,
        key_timing=key_timing(folder, max(rounds * 10, 1)),
        at_rest=_at_rest(folder, info, templates, starts, rounds),
        machine=this_machine() | {"templates": templates},
    )


def _revoked(server: Secured, secret: str) -> float:
    with server.client(secret) as client:
        return revoked_after(client, lambda: server.revoke(key.parts_of(secret)[0]))


def _at_rest(folder: Path, info: GetServerInfoResponse, templates: int, starts: int, rounds: int) -> AtRest:
    master = folder / "master.key"
    private_files.write(master, f"{new_key()}\n")
    return measure(
        {"database": str(folder / "plain.sqlite3")},
        {"database": str(folder / "encrypted.sqlite3"), "encryption_key_file": str(master)},
        contract=info.contract,
        dimension=info.embedding_dimension,
        templates=templates,
        starts=starts,
        rounds=max(rounds // 4, 1),
    )

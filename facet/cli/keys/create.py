"""``facet keys create``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from facet.cli.keys.names import certificate_name
from facet.cli.keys.options import CallersPath, ConfigPath, described, moment, path_of, print_key, usable
from facet.server.access.callers.callers_file import CallerEntry, changing, explained
from facet.server.access.callers.key import key_of, new_id, new_secret, sha256
from facet.server.access.identity import SCOPES
from facet.terminal import console


def create(
    scope: Annotated[
        list[str],
        typer.Option(
            metavar="|".join(SCOPES), help="What the caller may do. Repeat it for several.", show_default=False
        ),
    ],
    label: Annotated[str, typer.Option(help="A name for the caller, which is logged.")] = "",
    gallery: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="A gallery that the caller may use, or a prefix such as site-a-*. Repeat it. Default: all.",
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="When its rights end: 90d, 24h, or a date such as 2027-01-31.")
    ] = "",
    calls_per_second: Annotated[
        float | None, typer.Option(help="How many calls per second the caller may make.", show_default=False)
    ] = None,
    concurrent_calls: Annotated[
        int | None, typer.Option(help="How many calls of the caller may be open.", show_default=False)
    ] = None,
    certificate: Annotated[
        str, typer.Option(metavar="SAN", help="Instead of a key: a DNS name or URI in the client's certificate.")
    ] = "",
    oidc_subject: Annotated[
        str, typer.Option(metavar="SUB", help="Instead of a key: the subject of an identity provider's tokens.")
    ] = "",
    oidc_issuer: Annotated[str, typer.Option(metavar="ISS", help="The provider, as its tokens name it.")] = "",
    callers: CallersPath = None,
    config: ConfigPath = None,
    as_json: console.AsJson = False,
) -> None:
    """Let a caller in, and print its key. The key is shown only now: the file keeps a hash of it.

    Scopes: [b]recognize[/b] finds and identifies faces, [b]enroll[/b] adds and corrects people, [b]admin[/b] does both,
    creates and deletes galleries, forgets people and exports, [b]audit[/b] reads the audit log.

    The key alone is printed on standard output, so that a script can take it. The first caller makes the callers file:
    from then on, the server lets in only its callers.

    [b]Examples[/b]

      facet keys create --label Lobby --scope recognize --gallery lobby
      facet keys create --label Office --scope admin --scope audit --expires 90d
      facet keys create --scope recognize --certificate door-7.example
    """
    if certificate and (oidc_subject or oidc_issuer):
        raise typer.BadParameter(
            "a caller has a certificate or a provider's tokens, not both", param_hint="--certificate"
        )
    if bool(oidc_subject) != bool(oidc_issuer):
        raise typer.BadParameter("--oidc-issuer and --oidc-subject go together", param_hint="--oidc-subject")
    if unknown := [each for each in scope if each not in SCOPES]:
        raise typer.BadParameter(f"{unknown[0]!r} is not one of {', '.join(SCOPES)}", param_hint="--scope")
    if certificate:
        certificate_name(certificate)
    path, now, secret = path_of(callers, config), datetime.now(UTC).replace(microsecond=0), new_secret()
    kind = "certificate" if certificate else "oidc" if oidc_subject else "key"
    try:
        entry = CallerEntry.model_validate(
            {
                "id": new_id(),
                "label": label,
                "kind": kind,
                "sha256": sha256(secret) if kind == "key" else None,
                "certificate": certificate or None,
                "issuer": oidc_issuer or None,
                "subject": oidc_subject or None,
                "scopes": list(dict.fromkeys(scope)),
                "galleries": gallery or ["*"],
                "created": now,
                "expires": moment(expires, now, "--expires") if expires else None,
                "calls_per_second": calls_per_second,
                "concurrent_calls": concurrent_calls,
            }
        )
    except ValidationError as error:
        console.fail(explained(error), console.USAGE)
    _add(entry, path)
    if kind == "key":
        print_key(entry, key_of(entry.id, secret), path, as_json=as_json)
    elif as_json:
        console.print_json(described(entry) | {"callers": str(path)})
    else:
        console.out.print(f"let in {entry.label or entry.id} ({entry.id})")


def _add(entry: CallerEntry, path: Path) -> None:
    is_first = not path.exists()
    with usable(path), changing(path) as entries:
        entries.append(entry)
    if is_first:
        console.err.print(f"made {path.resolve()}: from now on, the server lets in only the callers in it")

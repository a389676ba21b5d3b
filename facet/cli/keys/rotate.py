"""``facet keys rotate``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from facet.cli.keys.listing import state_of
from facet.cli.keys.options import CallersPath, ConfigPath, moment, path_of, positions, print_key, usable
from facet.cli.shared.durations import duration
from facet.server.access.callers.callers_file import PreviousSecret, changing
from facet.server.access.callers.key import key_of, new_secret, sha256
from facet.terminal import console


def rotate(
    caller_id: Annotated[str, typer.Argument(metavar="ID", help="The caller, as listed.", show_default=False)],
    overlap: Annotated[
        str, typer.Option(metavar="TIME", help="How long the old key still works: 24h, 30m. Default: not at all.")
    ] = "0s",
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="When the caller's rights end from now on: 90d, or a date.")
    ] = "",
    callers: CallersPath = None,
    config: ConfigPath = None,
    as_json: console.AsJson = False,
) -> None:
    """Make a new key for a caller, and print it. Id, scopes and galleries stay the same.

    Without [b]--overlap[/b] the old key stops at once, as it must if somebody else has it: calls that it opened end.

    [b]Example[/b]

      facet keys rotate 3f9a1c20b7 --overlap 24h
    """
    path, now, secret = path_of(callers, config), datetime.now(UTC).replace(microsecond=0), new_secret()
    end = now + duration(overlap, "--overlap")
    expiry = moment(expires, now, "--expires") if expires else None
    with usable(path), changing(path, must_exist=True) as entries:
        (index,) = positions(entries, [caller_id], path)
        entry = entries[index]
        if entry.kind != "key":
            console.fail(f"{entry.id} has no key: it is known by its {entry.kind}; nothing was changed")
        if entry.revoked is not None:
            console.fail(f"{entry.id} was revoked: make another with facet keys create; nothing was changed")
        if expiry is None and state_of(entry, now) == "expired":
            console.fail(f"{entry.id} has expired: say --expires as well; nothing was changed")
        previous = PreviousSecret(sha256=str(entry.sha256), expires=end) if end > now else None
        changes = {"sha256": sha256(secret), "previous": previous} | ({"expires": expiry} if expiry else {})
        entry = entries[index] = entry.model_copy(update=changes)
    print_key(entry, key_of(entry.id, secret), path, as_json=as_json)
    if end > now and not as_json:
        console.err.print(f"the old key works until {end:%Y-%m-%d %H:%M} UTC")

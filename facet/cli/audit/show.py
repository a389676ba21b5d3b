"""``facet audit show``: who did what, from a log's folder or from a running server."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from facet.cli.audit.options import KeyFile, key_of, need_folder
from facet.server.audit.chain.entry import BEGUN, Draft, Entry
from facet.server.audit.chain.files import log_files
from facet.server.audit.reading import Wanted, entries
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import counted
from facet.terminal.tables import number, table, whole
from facet.v1.server_service_pb2 import AuditEntry
from gallery.names import InvalidName, identifier

_SHOWN = 100
_MIB = 2**20
_PAGE = 1000
_SUBJECT_DIGITS = 10
_HIDDEN = frozenset({"since", "until"})
"""Facts of searches that --json shows."""
_AGO = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@grouped_options
def show(
    folder: Annotated[
        Path | None,
        typer.Argument(help="The folder of the log; without it, the server at --address is asked.", show_default=False),
    ] = None,
    since: Annotated[
        str, typer.Option(help="The earliest time: 2026-11-26, 2026-11-26T19:15+01:00, or 90m, 24h, 7d ago.")
    ] = "",
    until: Annotated[str, typer.Option(help="The time before which entries were written, likewise.")] = "",
    caller: Annotated[str, typer.Option(help="The id of a caller, such as key:k1 or server.")] = "",
    gallery: Annotated[str, typer.Option(help="A gallery.")] = "",
    subject: Annotated[str, typer.Option(help="The id of a person; the log has its keyed hash.")] = "",
    action: Annotated[str, typer.Option(help="What was done: enrolled, forgotten, exported, searched, ...")] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help=f"The newest entries to show; {_SHOWN}, or all with --json.")
    ] = None,
    key_file: KeyFile = None,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Show the entries of an audit log, oldest first: who did what to which gallery, when, from where.

    A change has two entries, one before it is made and one with its outcome. They are shown as one; "open" is a change
    without an outcome: it runs now, or the server died. Searches are counted for a minute, then noted together.
    Times are in UTC, unless they say otherwise.

    [b]Examples[/b]

      facet audit show audit --since 24h
      facet audit show audit --subject ann --gallery team
      facet audit show audit --action searched --json
      facet audit show --address 192.0.2.7:50051 --caller key:k1

    Exit code: 0 done, 1 the log cannot be read, 2 bad usage.
    """
    wanted = Wanted(
        since=_time(since, "--since"),
        until=_time(until, "--until"),
        caller=caller,
        gallery=gallery,
        subjects=() if not subject else (_subject(subject),),
        action=action,
    )
    if folder is None:
        with connection.open() as client:
            found = client.iter_audit_entries(
                since=wanted.since,
                until=wanted.until,
                caller=caller,
                gallery_id=gallery,
                subject_id=subject,
                action=action,
                page_size=_PAGE,
            )
            _print(map(_entry, found), limit, as_json=as_json)
    else:
        _print(_of_folder(folder, wanted, key_file), limit, as_json=as_json)


def _of_folder(folder: Path, wanted: Wanted, key_file: Path | None) -> Iterator[Entry]:
    need_folder(folder)
    if wanted.subjects:
        key = key_of(folder, key_file)
        if key is None:
            console.fail("--subject needs the audit key, with which ids are hashed: --key-file names it", console.USAGE)
        (subject,) = wanted.subjects
        wanted = Wanted(
            wanted.since,
            wanted.until,
            wanted.caller,
            wanted.gallery,
            (subject, key.hash_of_subject(subject)),
            wanted.action,
        )
    try:
        total = sum(file.path.stat().st_size for file in log_files(folder))
        with console.progress("MiB read", max(total // _MIB, 1)) as bar:
            read = 0

            def advance(size: int) -> None:
                nonlocal read
                if (read + size) // _MIB > read // _MIB:
                    bar.update(bar.task_ids[0], completed=(read + size) // _MIB)
                read += size

            yield from entries(folder, wanted, advance)
    except OSError as error:
        console.fail(f"cannot read {error.filename or folder}: {error.strerror}")


def _print(found: Iterable[Entry], limit: int | None, *, as_json: bool) -> None:
    if as_json and limit is None:
        for entry in found:
            console.print_json(entry.as_dict())
        return
    most = limit or _SHOWN
    newest: OrderedDict[int, Entry] = OrderedDict()
    left_out = 0
    for entry in found:
        if not as_json:
            newest.pop(entry.draft.intent, None)
        newest[entry.seq] = entry
        if len(newest) > most:
            newest.popitem(last=False)
            left_out += 1
    if as_json:
        for entry in newest.values():
            console.print_json(entry.as_dict())
        return
    _show(list(newest.values()), left_out)


def _show(found: list[Entry], left_out: int) -> None:
    rows = table(number("entry"), whole("time"), whole("action"), whole("caller, from"), "gallery, subject", "outcome")
    for entry in found:
        draft = entry.draft
        facts = [f"{name} {_short(value)}" for name, value in draft.facts.items() if name not in _HIDDEN]
        outcome = "open" if draft.outcome == BEGUN else draft.reason or draft.outcome
        rows.add_row(
            str(entry.seq),
            draft.time[:19].replace("T", "\n"),
            draft.action,
            _lines(draft.caller, draft.address),
            _lines(draft.gallery, draft.subject[:_SUBJECT_DIGITS]),
            _lines(outcome, *facts),
        )
    if found:
        console.out.print(rows)
    else:
        console.out.print("no entries")
    if left_out:
        console.out.print(f"and {counted(left_out, 'older entry')}: --limit shows more, --json all")


def _lines(*texts: str) -> str:
    return "\n".join(filter(None, texts))


def _short(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= _SUBJECT_DIGITS * 2 else f"{text[:_SUBJECT_DIGITS]}\u2026"


def _entry(message: AuditEntry) -> Entry:
    draft = Draft(
        time=message.time,
        action=message.action,
        caller=message.caller,
        address=message.address,
        gallery=message.gallery,
        subject=message.subject,
        outcome=message.outcome,
        reason=message.reason,
        intent=message.intent,
        facts={name: json.loads(value) for name, value in sorted(message.facts.items())},
    )
    return Entry(message.seq, draft, message.prev, message.hash, message.mac)


def _subject(text: str) -> str:
    try:
        return identifier(text)
    except InvalidName as error:
        console.fail(f"--subject {error}", console.USAGE)


def _time(text: str, flag: str) -> datetime | None:
    if not text:
        return None
    if ago := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        console.fail(
            f"{flag} must be a time such as 2026-11-26, 2026-11-26T19:15+01:00 or 24h, is {text}", console.USAGE
        )
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)

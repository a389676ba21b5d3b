"""``facet people erasure-report``: what was erased, and the proof that it is gone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from facet.cli.people import erasure_file
from facet.cli.people.options import utc
from facet.terminal import console, private_files
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import counted
from facet.terminal.tables import number, table, whole
from facet.terminal.visible import json_line
from facet.v1 import gallery_service_pb2 as pb

_CAUSES = {
    pb.ERASURE_CAUSE_SUBJECT_DELETED: "person forgotten",
    pb.ERASURE_CAUSE_TEMPLATE_DELETED: "template deleted",
    pb.ERASURE_CAUSE_GALLERY_DELETED: "gallery deleted",
    pb.ERASURE_CAUSE_SUBJECT_EXPIRED: "person expired",
    pb.ERASURE_CAUSE_TEMPLATE_EXPIRED: "template expired",
}
_OUTCOMES = {
    pb.ERASURE_OUTCOME_PENDING: "pending",
    pb.ERASURE_OUTCOME_NOT_FOUND: "not found",
    pb.ERASURE_OUTCOME_FOUND: "STILL THERE",
    pb.ERASURE_OUTCOME_NOT_SEARCHED: "overwritten",
}
_COPIES = 10
"""Copies that are shown; --json has all."""


@grouped_options
def erasure_report(
    gallery: Annotated[str, typer.Option(help="Only this gallery; it may be deleted. Default: all.")] = "",
    subject: Annotated[
        str, typer.Option(help="Only this person: answers whether, when and how completely they were erased.")
    ] = "",
    since: Annotated[
        datetime | None,
        typer.Option(help="Only erasures since this day, in UTC.", formats=["%Y-%m-%d"], show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Also write the report to this JSON file, to keep.", show_default=False)
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(help="Compare a report that --output wrote before with the server.", show_default=False),
    ] = None,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Show what was erased, when its bytes were gone, and what a search of the files for them found.

    Every erasure leaves a record without personal data: a person is in it as a keyed hash, which only the server can
    compute. With [b]--subject[/b] it is computed for the person you name. After an erasure the server searches its
    files for the erased bytes, and records the result.

    The SHA-256 of the records is the last line. Keep it, or the file of [b]--output[/b]: [b]--verify[/b] tells later
    whether the server still says the same. The report also names the copies that the server knows of and cannot reach:
    backups, exports, and reports for the people themselves.

    Exit code: 0 success, 1 erased bytes are still there, or nothing is recorded about the person, or the report
    differs, 2 bad usage.
    """
    if subject and not gallery:
        console.fail("--subject needs --gallery: the same id may be in several galleries", console.USAGE)
    if verify is not None:
        erasure_file.verify(verify, connection.open, as_json=as_json)
        return
    moment = None if since is None else since.replace(tzinfo=UTC)
    with connection.open() as client:
        copies = list(client.list_erasures(gallery, subject, since=moment, page_size=1).copies)
        erasures = list(client.iter_erasures(gallery, subject, since=moment, page_size=1000))
    report = erasure_file.report(erasures, copies)
    if output is not None:
        try:
            private_files.write(output, json_line(report) + "\n")
        except OSError as error:
            console.fail(f"cannot write {output}: {error.strerror}")
    if as_json:
        console.print_json(report)
    else:
        _print(erasures, copies, str(report["sha256"]))
    is_bad = any(each.outcome == pb.ERASURE_OUTCOME_FOUND for each in erasures)
    raise typer.Exit(console.FAILED if is_bad or (subject and not erasures) else console.DONE)


def _print(erasures: list[pb.Erasure], copies: list[pb.MadeCopy], digest: str) -> None:
    rows = table(
        whole("erased (UTC)"),
        "gallery",
        "what",
        number("templates"),
        number("gone after"),
        "bytes",
        title=counted(len(erasures), "erasure"),
    )
    for each in erasures:
        rows.add_row(
            utc(each.erase_time),
            each.gallery_id,
            _CAUSES.get(each.cause, "other"),
            str(each.templates),
            _gone_after(each),
            _outcome(each),
        )
    if erasures:
        console.out.print(rows)
    else:
        console.out.print("no erasure is recorded")
    if copies:
        newest = ", ".join(
            f"{each.kind.replace('_', ' ')} {utc(each.time)}{f' of {each.gallery_id}' if each.gallery_id else ''}"
            for each in copies[:_COPIES]
        )
        more = f" and {len(copies) - _COPIES} older ones" if len(copies) > _COPIES else ""
        console.out.print(f"copies that were made, and that no erasure reaches: {newest}{more}")
    if erasures:
        console.out.print(f"SHA-256 of these records: {digest}")


def _gone_after(erasure: pb.Erasure) -> str:
    if not erasure.HasField("gone_time"):
        return "-"
    seconds = erasure.gone_time.ToNanoseconds() - erasure.erase_time.ToNanoseconds()
    return f"{max(0.0, seconds / 1e9):.1f} s"


def _outcome(erasure: pb.Erasure) -> str:
    said = _OUTCOMES.get(erasure.outcome, "unknown")
    if erasure.outcome == pb.ERASURE_OUTCOME_NOT_FOUND and not erasure.values_searched:
        said = "overwritten"
    if erasure.bytes_searched < erasure.bytes_present:
        said += " in a sample"
    if erasure.key_destroyed:
        said += ", key destroyed"
    if erasure.other_files:
        said += f", but in {counted(erasure.other_files, 'other file')} of the folder"
    return said

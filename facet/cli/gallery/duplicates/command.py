"""``facet gallery duplicates``: subjects who are one person, and pictures under a wrong name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from facet import FacetError
from facet.cli.gallery.duplicates.corrections import Corrections
from facet.cli.gallery.duplicates.kept_search import KeptSearch, NotKept
from facet.cli.gallery.duplicates.page import page as page_of
from facet.terminal import console, private_files
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import counted
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.rendering import as_dict
from facet.terminal.tables import Shortened, number, table
from facet.v1 import gallery_service_pb2 as pb

_SHOWN = 50
"""Findings in the table."""
_ALL_WITH_COMMANDS = 10
"""The most findings that all have their commands below the table; of more, one of each kind is an example."""
_WHAT = {
    pb.DuplicateFinding.KIND_SAME_PERSON: "one person?",
    pb.DuplicateFinding.KIND_OTHER_SUBJECT: "wrong name?",
    pb.DuplicateFinding.KIND_UNLIKE_SUBJECT: "unlike the others?",
}
_ADVICE = {
    pb.DuplicateFinding.KIND_SAME_PERSON: "Two subjects may be one person: merge them, or tell them apart.",
    pb.DuplicateFinding.KIND_OTHER_SUBJECT: "A picture may be under the wrong name: move it.",
    pb.DuplicateFinding.KIND_UNLIKE_SUBJECT: "A picture may show somebody who is not enrolled: delete its template.",
}


@grouped_options
def duplicates(
    gallery: Annotated[str, typer.Argument(help="The gallery.", show_default=False)],
    page: Annotated[
        Path | None,
        typer.Option(help="Write a page with the two faces of each finding side by side.", show_default=False),
    ] = None,
    least_chance: Annotated[float, typer.Option(min=0.05, max=1, help="Leave out what is less probable.")] = 0.5,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most findings.")] = 200,
    resume: Annotated[
        Path | None,
        typer.Option(help="Keep the search in this file while it runs, and go on from it.", show_default=False),
    ] = None,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Find people who are enrolled twice, and pictures under a wrong name.

    Searches for every template among all other people; nothing is changed. Each finding has its chance: of findings
    with a chance of 0.9, about nine in ten are right. Look at the faces on the page before you correct anything: the
    page and the command name what to type, and which id stays. In a script, add [b]--yes[/b] to what merges, moves or
    deletes. People whom you have told apart are left out.

    A million templates take about half an hour; other calls come first. With [b]--resume[/b], the same command goes on
    after Ctrl-C.

    [b]Examples[/b]

      facet gallery duplicates team --page duplicates.html
      facet gallery duplicates team --least-chance 0.9 --json
      facet gallery duplicates team --resume duplicates.part

    Exit code: 0 done, 1 failed, 2 bad usage, 130 stopped by Ctrl-C.
    """
    settings = {"gallery": gallery, "least_chance": least_chance, "limit": limit, "page": page is not None}
    try:
        kept = KeptSearch(resume, settings, limit)
    except NotKept as error:
        console.fail(str(error), console.USAGE)
    except OSError as error:
        console.fail(f"cannot read {resume}: {error.strerror}", console.USAGE)
    with (
        connection.open() as client,
        console.telling_when_stopped(lambda: _stopped(kept, resume)),
        interrupted_by_sigterm(),
        console.progress("searching", 1, unit="templates") as bar,
    ):

        def advance(done: int, total: int) -> None:
            bar.update(bar.task_ids[0], completed=min(done, total), total=total)
            kept.keep()

        try:
            findings = client.find_duplicates(
                gallery,
                least_chance=least_chance,
                include_crops=page is not None,
                search=kept.search,
                progress=advance,
            )
        except (FacetError, KeyboardInterrupt):
            kept.keep(now=True)
            raise
        except OSError as error:
            console.fail(f"cannot write {resume}: {error.strerror}")
    corrections = Corrections(gallery, connection.address)
    if page is not None:
        try:
            private_files.write(page, page_of(findings, corrections, least_chance=least_chance))
        except OSError as error:
            kept.keep(now=True)
            console.fail(f"cannot write {page}: {error.strerror}")
    kept.finish()
    if as_json:
        said = [_plain(each, corrections) for each in findings]
        console.print_json({"gallery": gallery, "templates": kept.search.templates_done, "findings": said})
    else:
        _print(findings, corrections, kept.search.templates_done, page)


def _stopped(kept: KeptSearch, resume: Path | None) -> str:
    search = kept.search
    done = f"{search.templates_done} of {counted(search.template_count, 'template')} were searched for"
    if resume is None:
        return f"{done}, and nothing is kept; --resume FILE keeps a search"
    return f"{done}; the same command goes on from {resume}"


def _plain(finding: pb.DuplicateFinding, corrections: Corrections) -> dict[str, Any]:
    """A finding without its pictures, with the commands that correct it."""
    plain = as_dict(finding)
    for side in ("template", "other_template"):
        plain[side].pop("crop", None)
    return plain | {"commands": [command for command, _ in corrections.of(finding)]}


def _print(
    findings: Sequence[pb.DuplicateFinding], corrections: Corrections, templates: int, page: Path | None
) -> None:
    if not findings:
        console.out.print(f"{corrections.gallery}: nothing found among {counted(templates, 'template')}")
        return
    rows = table(
        number("chance"),
        "what",
        "subject",
        "other subject",
        number("similarity"),
        title=f"{corrections.gallery}: {counted(len(findings), 'finding')} among {counted(templates, 'template')}",
    )
    for each in findings[:_SHOWN]:
        own, other = each.template.template.subject_id, each.other_template.template.subject_id
        ids = Shortened(own), "" if own == other else Shortened(other)
        rows.add_row(f"{each.chance:.3f}", _what(each), *ids, f"{each.similarity:.3f}")
    console.out.print(rows)
    if len(findings) > _SHOWN:
        console.out.print(f"... and {len(findings) - _SHOWN} more; --json prints all")
    for kind, advice in _ADVICE.items():
        of_kind = [each for each in findings if each.kind == kind]
        shown = of_kind if len(findings) <= _ALL_WITH_COMMANDS else of_kind[:1]
        if shown:
            console.out.print(advice if len(shown) == len(of_kind) else f"{advice} For example:")
        for each in shown:
            for command, when in corrections.of(each):
                console.out.print(f"  {command}  # {when}")
    if page is not None:
        console.out.print(f"The faces, and the commands of every finding, are in {page}; only you can read it.")
    else:
        console.out.print(
            "Look at the faces before you correct anything: --page FILE writes a page with them, and the commands of "
            "every finding."
        )


def _what(finding: pb.DuplicateFinding) -> str:
    count = len(finding.template_ids)
    what = _WHAT.get(finding.kind, "")
    return (
        f"{what} ({count} pictures)" if finding.kind == pb.DuplicateFinding.KIND_OTHER_SUBJECT and count > 1 else what
    )

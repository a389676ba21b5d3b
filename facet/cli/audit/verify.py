"""``facet audit verify``: read a whole audit log, and say which entries were edited, cut out, reordered or inserted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facet.cli.audit.options import Folder, HeadFile, KeyFile, head_of, key_of, need_folder
from facet.server.audit.chain.files import log_files
from facet.server.audit.chain.head import Head, InvalidHead, parse_head
from facet.server.audit.chain.keys import AuditKey
from facet.server.audit.verification import Problem, Verification, verify
from facet.terminal import console, tables
from facet.terminal.counts import counted

_MIB = 2**20
_SHOWN = 50


def verify_log(
    folder: Folder,
    known: Annotated[
        list[str] | None, typer.Option("--head", help="SEQ:HASH that facet audit head has printed; may be repeated.")
    ] = None,
    head_file: HeadFile = None,
    key_file: KeyFile = None,
    as_json: console.AsJson = False,
) -> None:
    """Read a whole audit log, and say which lines were edited, cut out, reordered, inserted, or removed at the end.

    A server may be writing to the log. Without the audit key only the chain of hashes is checked: whoever changes an
    entry and all that follow is then recognised by the head alone.

    [b]Examples[/b]

      facet audit verify audit
      facet audit verify audit --head "$(cat monday.head)"
      facet audit verify copy --key-file /media/key/audit.key

    Exit code: 0 the log is sound, 1 it was changed or cannot be read, 2 bad usage.
    """
    need_folder(folder)
    found_head = head_of(folder, head_file)
    key = key_of(folder, key_file)
    heads: dict[str, Head] = {} if found_head is None else {"the head": found_head}
    heads |= {f"--head {text.partition(':')[0]}": _parsed(text) for text in known or ()}
    found = _read(folder, heads, key)
    if found_head is None:
        found.problems.append(Problem("the head is missing: whether the log lacks entries at its end is not known"))
    if as_json:
        console.print_json(_as_json(found, with_key=key is not None))
    else:
        _show(folder, found, with_key=key is not None)
    if found.problems:
        raise typer.Exit(console.FAILED)


def _parsed(text: str) -> Head:
    try:
        return parse_head(text)
    except InvalidHead as error:
        console.fail(str(error), console.USAGE)


def _read(folder: Path, heads: dict[str, Head], key: AuditKey | None) -> Verification:
    try:
        total = sum(file.path.stat().st_size for file in log_files(folder))
        with console.progress("MiB verified", max(total // _MIB, 1)) as bar:
            read = 0

            def advance(size: int) -> None:
                nonlocal read
                read += size
                bar.update(bar.task_ids[0], completed=read // _MIB)

            return verify(folder, heads, key, advance)
    except OSError as error:
        console.fail(f"cannot read {error.filename or folder}: {error.strerror}")


def _as_json(found: Verification, *, with_key: bool) -> dict[str, object]:
    problems = [
        {"file": each.file, "line": each.line, "seq": each.seq, "problem": each.what} for each in found.problems
    ]
    return {
        "sound": not found.problems,
        "with_key": with_key,
        "files": found.files,
        "entries": found.entries,
        "head": None if found.head is None else str(found.head),
        "problems": problems,
        "open_intents": [entry.as_dict() for entry in found.open_intents],
        "notes": found.notes,
    }


def _show(folder: Path, found: Verification, *, with_key: bool) -> None:
    for problem in found.problems[:_SHOWN]:
        console.out.print(f"changed: {problem}")
    if len(found.problems) > _SHOWN:
        console.out.print(f"and {len(found.problems) - _SHOWN} more; --json lists them")
    for note in found.notes:
        console.out.print(f"note: {note}")
    if found.open_intents:
        title = "begun, and no outcome: they run now, or the server died; the change may have been made"
        rows = tables.table(tables.number("entry"), "time", "caller", "action", "gallery", title=title)
        for entry in found.open_intents[:_SHOWN]:
            draft = entry.draft
            rows.add_row(str(entry.seq), draft.time, draft.caller, draft.action, draft.gallery)
        console.out.print(rows)
    if not with_key:
        console.out.print("note: without the audit key, only the chain of hashes was checked: --key-file names it")
    read = f"{folder}: {counted(found.entries, 'entry')} in {counted(found.files, 'file')}"
    if found.problems:
        console.out.print(f"{read}: {counted(len(found.problems), 'problem')}")
    else:
        console.out.print(f"{read}: sound" + ("" if found.head is None else f", up to {found.head}"))

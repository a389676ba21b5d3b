"""``facet audit head``: the last entry of a log, to keep it where whoever changes the log does not reach it."""

from __future__ import annotations

from facet.cli.audit.options import Folder, HeadFile, KeyFile, head_of, key_of, need_folder
from facet.terminal import console


def head(
    folder: Folder,
    head_file: HeadFile = None,
    key_file: KeyFile = None,
    as_json: console.AsJson = False,
) -> None:
    """Print number and hash of the last entry that is on disk: SEQ:HASH.

    Keep what it prints on another machine, for example from cron. [b]facet audit verify --head SEQ:HASH[/b] then shows
    whether the log, or an older copy of log and head together, lacks entries that were there.

    [b]Example[/b]

      facet audit head audit
    """
    need_folder(folder)
    found = head_of(folder, head_file)
    if found is None:
        console.fail("the log has no head: no server has written to it, or the head was removed")
    key = key_of(folder, key_file)
    if key is not None and not found.is_of(key):
        console.fail("the head was not written with the audit key: it was changed")
    if as_json:
        console.print_json({"seq": found.seq, "hash": found.hash})
    else:
        console.out.print(str(found))

"""Reports of erasures as JSON, which an auditor keeps and compares with the server later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from facet import Client
from facet.terminal import console
from facet.terminal.counts import counted
from facet.terminal.rendering import as_dict
from facet.v1 import gallery_service_pb2 as pb

_PENDING = "ERASURE_OUTCOME_PENDING"


def report(erasures: Sequence[pb.Erasure], copies: Sequence[pb.MadeCopy]) -> dict[str, Any]:
    """A report as plain values; ``sha256`` is that of its records."""
    records = [as_dict(each) for each in erasures]
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {"created": created, "erasures": records, "copies": list(map(as_dict, copies)), "sha256": digest(records)}


def digest(records: Sequence[dict[str, Any]]) -> str:
    """The hexadecimal SHA-256 of records, as JSON without blanks, with sorted keys, in ASCII."""
    text = json.dumps(list(records), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def verify(path: Path, connect: Callable[[], Any], *, as_json: bool) -> None:
    """Compare a report with itself and with the server's records, print what was found, and exit.

    A record that was pending when the report was written may be complete now. Others must be the same.
    """
    kept, expected = _read(path)
    is_intact = digest(kept) == expected
    client: Client
    with connect() as client:
        now = {each.erasure_id: as_dict(each) for each in client.iter_erasures(page_size=1000)}
    missing = [each for each in kept if each.get("erasure_id") not in now]
    differing = [each for each in kept if each not in missing and not _agree(each, now[str(each["erasure_id"])])]
    is_same = is_intact and not missing and not differing
    if as_json:
        counts = {"records": len(kept), "missing": len(missing), "differing": len(differing)}
        console.print_json({"intact": is_intact, **counts})
    else:
        if not is_intact:
            console.out.print(f"{path} was changed: its records do not have the SHA-256 that it states")
        console.out.print(
            f"{counted(len(kept), 'record')}: {len(kept) - len(missing) - len(differing)} as the server has them, "
            f"{len(differing)} different, {len(missing)} not on the server"
        )
        if missing:
            console.out.print(
                "records are missing if they are older than gallery.keep_erasures_days, or if an older "
                "backup was restored"
            )
    raise typer.Exit(console.DONE if is_same else console.FAILED)


def _agree(kept: dict[str, Any], now: dict[str, Any]) -> bool:
    if kept.get("outcome") == _PENDING:
        same = ("erasure_id", "gallery_id", "subject_hash", "cause", "subjects", "templates", "erase_time")
        return all(kept.get(name) == now.get(name) for name in same)
    return kept == now


def _read(path: Path) -> tuple[list[dict[str, Any]], str]:
    try:
        found = json.loads(path.read_text("utf-8"))
        records, expected = [dict(each) for each in found["erasures"]], str(found["sha256"])
    except OSError as error:
        console.fail(f"cannot read {path}: {error.strerror}", console.USAGE)
    except (ValueError, KeyError, TypeError):
        console.fail(f"{path} is no report that --output wrote", console.USAGE)
    return records, expected

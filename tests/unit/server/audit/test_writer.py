"""Entries that cannot be written wait, and those that are too many are counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from facet.server.audit import writer
from facet.server.audit.chain.entry import BEGUN
from facet.server.audit.reading import Wanted, entries
from facet.server.audit.trail import AuditTrail
from facet.server.errors import AuditUnavailable
from tests.unit.server.audit.logs import settings_of, verified
from tests.waiting import until


async def test_outcomes_and_notes_wait_for_the_disk_and_intents_do_not(tmp_path: Path) -> None:
    """A change that had begun is told of later; one that begins meanwhile is refused, and leaves nothing."""
    folder, elsewhere = tmp_path / "log", tmp_path / "moved"
    trail = AuditTrail(settings_of(folder))
    begun = trail.begin(trail.draft("forgotten", "team", "ann", outcome=BEGUN))
    await begun.durable()
    folder.rename(elsewhere)
    trail.end(begun)
    trail.note("erased", "team", "bob", cause="expired")
    refused = trail.begin(trail.draft("exported", "team", outcome=BEGUN))
    with pytest.raises(AuditUnavailable):
        await refused.durable()
    trail.end(refused, "UNAVAILABLE", AuditUnavailable.reason)
    assert trail.writer.problem
    elsewhere.rename(folder)
    await asyncio.to_thread(until, lambda: not trail.writer.problem)
    trail.close()
    told = [(each.draft.action, each.draft.intent) for each in entries(folder, Wanted())]
    assert told == [("forgotten", 0), ("forgotten", 1), ("erased", 0)]
    assert (verified(folder).problems, verified(folder).open_intents) == ([], [])


async def test_log_is_written_again_although_nothing_is_left_to_write(tmp_path: Path) -> None:
    """The outcome of a change that was refused is no entry. The log notices all the same that it can be written."""
    folder, elsewhere = tmp_path / "log", tmp_path / "moved"
    trail = AuditTrail(settings_of(folder))
    trail.note("started")
    await asyncio.to_thread(until, lambda: trail.writer.entries["started"])
    folder.rename(elsewhere)
    refused = trail.begin(trail.draft("forgotten", "team", "ann", outcome=BEGUN))
    with pytest.raises(AuditUnavailable):
        await refused.durable()
    assert trail.writer.problem
    elsewhere.rename(folder)
    trail.end(refused, "UNAVAILABLE", AuditUnavailable.reason)
    await asyncio.to_thread(until, lambda: not trail.writer.problem)
    trail.close()
    assert [each.draft.action for each in entries(folder, Wanted())] == ["started"]


async def test_entries_that_are_too_many_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_MAX_WAITING", 10)
    folder, elsewhere = tmp_path / "log", tmp_path / "moved"
    trail = AuditTrail(settings_of(folder))
    trail.note("started")
    await asyncio.to_thread(until, lambda: trail.writer.entries["started"])
    folder.rename(elsewhere)
    for number in range(50):
        trail.note("erased", "team", f"s{number}")
    assert trail.writer.lost >= 40
    elsewhere.rename(folder)
    trail.close()
    found = list(entries(folder, Wanted()))
    erased = [each for each in found if each.draft.action == "erased"]
    (lost,) = [each for each in found if each.draft.action == "entries_lost"]
    assert len(erased) + int(str(lost.draft.facts["entries"])) == 50
    assert verified(folder).problems == []


async def test_ids_are_kept_as_they_are_if_that_is_set(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    trail = AuditTrail(settings_of(folder), subject_ids="plain")
    trail.note("erased", "team", "ann")
    trail.close()
    assert [each.draft.subject for each in entries(folder, Wanted())] == ["ann"]

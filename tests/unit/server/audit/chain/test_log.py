"""A log goes on where it ended, whatever its writer died of, and refuses keys that are not its own."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from facet.server.audit.chain.entry import BEGUN, Draft
from facet.server.audit.chain.files import default_key, log_files
from facet.server.audit.chain.log import AuditLog, time_text
from facet.server.audit.errors import AuditBusy, AuditKeyError
from facet.server.audit.reading import Position, Wanted, entries, page
from gallery import times
from tests.unit.server.audit.logs import TIME, settings_of, verified, written

ANY = Wanted()


def actions(folder: Path) -> list[str]:
    return [entry.draft.action for entry in entries(folder, ANY)]


def begun(folder: Path, *, complete: bool) -> None:
    """A change whose outcome was written, or not because its server died."""
    log = AuditLog(settings_of(folder))
    (number,) = log.append([Draft(TIME, "forgotten", outcome=BEGUN)])
    if complete:
        log.append([Draft(TIME, "forgotten", intent=number)])
    log.sync()
    log.close()


@pytest.mark.parametrize("rest", [b'{"action":"enr', b'{"action":"enrolled"}', b"\0" * 300_000, b"{}\n{}\n", b"\n"])
def test_torn_line_is_kept_aside_and_recorded(tmp_path: Path, rest: bytes) -> None:
    folder = tmp_path / "audit"
    written(folder, 3)
    (file,) = log_files(folder)
    with file.path.open("ab") as end:
        end.write(rest)
    for _ in range(2):  # a second start finds nothing more
        AuditLog(settings_of(folder)).close()
    assert actions(folder) == ["enrolled"] * 3 + ["torn_line_kept"]
    (kept,) = folder.glob("torn-after-*")
    assert kept.read_bytes() == rest
    assert verified(folder).problems == []


def test_torn_line_that_a_crash_kept_from_being_recorded_is_recorded_later(tmp_path: Path) -> None:
    """The line was moved aside, and the server died before the entry was written."""
    folder = tmp_path / "audit"
    written(folder, 3)
    (folder / "torn-after-000000000003-0123456789abcdef").write_bytes(b'{"act')
    AuditLog(settings_of(folder)).close()
    assert actions(folder)[-1] == "torn_line_kept"


def test_change_without_outcome_stays_open(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    begun(folder, complete=True)
    assert verified(folder).open_intents == []
    begun(folder, complete=False)
    (intent,) = verified(folder).open_intents
    assert (intent.seq, intent.draft.action, verified(folder).problems) == (3, "forgotten", [])


def test_missing_or_other_key_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    folder, key = tmp_path / "audit", default_key(tmp_path / "audit")
    written(folder, 3)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    right = key.read_bytes()
    key.unlink()
    with pytest.raises(AuditKeyError, match="is missing"):
        AuditLog(settings_of(folder))
    for wrong, said in ((b"00" * 32, "is not the key"), (b"too short", "holds no audit key")):
        key.write_bytes(wrong)
        key.chmod(0o600)
        with pytest.raises(AuditKeyError, match=said):
            AuditLog(settings_of(folder))
    key.write_bytes(right)
    key.chmod(0o644)
    with pytest.raises(AuditKeyError, match="others can read"):
        AuditLog(settings_of(folder))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_only_the_owner_can_read_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    written(folder, 3)
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in (*folder.iterdir(), default_key(folder)):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_second_server_is_refused(tmp_path: Path) -> None:
    log = AuditLog(settings_of(tmp_path / "audit"))
    with pytest.raises(AuditBusy, match="give each its own"):
        AuditLog(settings_of(tmp_path / "audit"))
    log.close()


@pytest.mark.parametrize("head", [None, b"", b"{}", b'{"seq": 3, "hash": "x", "mac": "\xc3\xa9"}'])
def test_head_that_is_gone_or_changed_is_recorded(tmp_path: Path, head: bytes | None) -> None:
    """The server starts, but does not write a new head as if nothing had happened."""
    settings = written(tmp_path / "audit", 3)
    if head is None:
        settings.head.unlink()
    else:
        settings.head.write_bytes(head)
    AuditLog(settings).close()
    assert actions(tmp_path / "audit")[-1] == "damage_found"
    (problem,) = verified(tmp_path / "audit").problems
    assert "the server found when it started: the head" in str(problem)


def test_log_that_is_gone_is_recorded(tmp_path: Path) -> None:
    settings = written(tmp_path / "audit", 3)
    (file,) = log_files(tmp_path / "audit")
    file.path.unlink()
    AuditLog(settings).close()
    assert [entry.seq for entry in entries(tmp_path / "audit", ANY)] == [4]
    assert len(verified(tmp_path / "audit").problems) == 2


def test_entries_of_a_clock_that_was_wrong_are_found(tmp_path: Path) -> None:
    """The clock was a year ahead for a while, and a year behind: what is looked for by time is found all the same."""
    folder, now = tmp_path / "audit", times.now()
    days = [0, 0, 400, 400, 0, 0, -400, 0, 400, 0, 0]
    log = AuditLog(settings_of(folder, max_file_bytes=1500))
    for number, ahead in enumerate(days):
        moment = now + timedelta(days=ahead, seconds=number)
        log.append([Draft(time_text(moment), "enrolled", subject=f"s{number}")])
    log.sync()
    log.close()

    def found(wanted: Wanted) -> list[int]:
        return [days[int(entry.draft.subject[1:])] for entry in entries(folder, wanted)]

    day = timedelta(days=1)
    assert found(Wanted(until=now + day)) == [each for each in days if each <= 0]
    assert found(Wanted(since=now - day)) == [each for each in days if each >= 0]
    assert found(Wanted(since=now + 300 * day)) == [400] * 3
    assert found(Wanted(until=now - 300 * day)) == [-400]
    (note,) = verified(folder).notes
    assert note == "entry 5: it is earlier than the one before, and 2 times later: the clock was set back"
    assert verified(folder).problems == []


@pytest.mark.parametrize("put_back", [False, True])
def test_log_that_begins_again_says_that_there_was_a_key(tmp_path: Path, put_back: bool) -> None:
    """Whoever removes log and head leaves the key. The head of an empty log, kept from the beginning, does not help."""
    folder = tmp_path / "audit"
    settings = settings_of(folder)
    AuditLog(settings).close()
    empty = settings.head.read_bytes()
    written(folder, 3)
    shutil.rmtree(folder)
    if put_back:
        folder.mkdir()
        settings.head.write_bytes(empty)
    AuditLog(settings).close()
    assert [entry.draft.action for entry in entries(folder, ANY)] == ["key_found"]
    (note,) = verified(folder).notes
    assert "the log began with a key that was there" in note
    assert verified(folder).problems == []


def test_files_are_removed_by_age(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    log = AuditLog(settings_of(folder, max_file_bytes=4096, keep_days=30))
    for days in range(60, 0, -1):
        old = times.now() - timedelta(days=days)
        log.append([Draft(time_text(old), "enrolled", caller="key:k1")])
    log.sync()
    log.trim()
    log.close()
    oldest = next(entries(folder, ANY))
    assert timedelta(days=15) < times.now() - times_of(oldest.draft.time) < timedelta(days=40)
    assert verified(folder).problems == []


def times_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_pages_are_the_whole_log(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    written(folder, 50, max_file_bytes=4096)
    for most, most_bytes in ((7, 2**20), (1000, 1500)):
        found: list[int] = []
        position: Position | None = Position()
        while position is not None:
            read = page(folder, ANY, position, most=most, most_bytes=most_bytes)
            assert len(read.entries) <= most
            found += [entry.seq for entry in read.entries]
            position = read.following
        assert found == list(range(1, 51))


def test_position_that_is_no_entry_is_looked_for(tmp_path: Path) -> None:
    """Tokens of pages come from clients."""
    written(tmp_path / "audit", 10)
    read = page(tmp_path / "audit", ANY, Position(4, 77), most=2, most_bytes=2**20)
    assert [entry.seq for entry in read.entries] == [4, 5]

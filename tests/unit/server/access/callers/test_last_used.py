"""When callers were last admitted, as the server writes it."""

from __future__ import annotations

from pathlib import Path

from facet.server.access.callers.last_used import LastUsed, path_of, read

NOON, MINUTE = 1_800_000_000.0, 60.0


class Clock:
    """Monotonic seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_uses_are_written_at_once_and_then_at_most_once_a_minute(tmp_path: Path) -> None:
    callers, clock = tmp_path / "facet.callers.json", Clock()
    used = LastUsed(callers, clock)
    used.write()
    assert read(callers) == {}
    used.note("key:one", NOON)
    used.write()
    assert read(callers) == {"key:one": "2027-01-15T08:00:00+00:00"}
    assert path_of(callers).stat().st_mode & 0o777 == 0o600
    used.note("key:one", NOON + 1)
    clock.now += MINUTE / 2
    used.write()
    assert read(callers) == {"key:one": "2027-01-15T08:00:00+00:00"}
    clock.now += MINUTE / 2
    used.write()
    assert read(callers) == {"key:one": "2027-01-15T08:00:01+00:00"}
    used.note("key:one", NOON + 2)
    used.write(at_once=True)
    assert read(callers) == {"key:one": "2027-01-15T08:00:02+00:00"}


def test_servers_that_share_the_callers_keep_the_latest_use_of_each(tmp_path: Path) -> None:
    callers = tmp_path / "facet.callers.json"
    one, other = LastUsed(callers, Clock()), LastUsed(callers, Clock())
    one.note("key:a", NOON + 1)
    one.write()
    other.note("key:a", NOON)
    other.note("key:b", NOON)
    other.write()
    assert read(callers) == {"key:a": "2027-01-15T08:00:01+00:00", "key:b": "2027-01-15T08:00:00+00:00"}


def test_what_is_in_the_file_is_never_needed(tmp_path: Path) -> None:
    callers = tmp_path / "facet.callers.json"
    for content in ("{", "[]", '{"key:a": 1}'):
        path_of(callers).write_text(content, "utf-8")
        assert read(callers) == {}
    used = LastUsed(tmp_path / "missing" / "callers.json", Clock())
    used.note("key:a", NOON)
    used.write()

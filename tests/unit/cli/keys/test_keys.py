"""The commands ``facet keys``: what they print, and what they write."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from facet.cli.app import app
from facet.server.access.callers.callers import Callers
from facet.server.access.callers.callers_file import CallerEntry, read
from facet.server.access.callers.key import parts_of, sha256
from facet.server.access.callers.last_used import path_of

DONE, FAILED, USAGE = 0, 1, 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "facet.callers.json"


def keys(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments, "--callers", str(path)], prog_name="facet")


def created(path: Path, *arguments: str) -> tuple[CallerEntry, str]:
    """A caller that was made, and its key: what is on standard output, and nothing else."""
    result = keys(path, "create", "--scope", "recognize", *arguments)
    assert result.exit_code == DONE, result.output
    entry, key = read(path).callers[-1], result.stdout.removesuffix("\n")
    assert parts_of(key)[0] == entry.id
    return entry, key


def is_in(path: Path, key: str, at: datetime | None = None) -> bool:
    """Whether a server would let a key in."""
    caller_id, secret = parts_of(key)
    try:
        now = (at or datetime.now(UTC)).timestamp()
        Callers(read(path).callers).of_key(caller_id, bytes.fromhex(sha256(secret)), now)
    except Exception:
        return False
    return True


def listed(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(keys(path, "list", "--json").stdout)["callers"]
    return rows


def test_a_key_is_printed_once_and_only_its_hash_is_kept(path: Path) -> None:
    entry, key = created(path, "--label", "Lobby camera", "--gallery", "lobby", "--gallery", "site-a-*")
    assert is_in(path, key)
    assert parts_of(key)[1] not in path.read_text("utf-8")
    assert (entry.label, entry.galleries, entry.expires) == ("Lobby camera", ["lobby", "site-a-*"], None)
    told = keys(path, "create", "--scope", "admin")
    assert "FACET_TOKEN" in told.stderr
    assert "lets in only" not in told.stderr, "it is said of the first caller"
    said = keys(path, "list").stdout + keys(path, "list", "--json").stdout
    assert "Lobby" in said
    assert all(secret not in said for secret in (parts_of(key)[1], str(entry.sha256)))


def test_programs_get_everything_in_one_line(path: Path) -> None:
    result = keys(path, "create", "--scope", "admin", "--scope", "audit", "--calls-per-second", "2.5", "--json")
    said = json.loads(result.stdout)
    assert is_in(path, said["key"])
    assert (said["scopes"], said["galleries"], said["calls_per_second"]) == (["admin", "audit"], ["*"], 2.5)
    assert "sha256" not in said


def test_a_caller_may_be_known_by_a_certificate_or_a_provider_instead(path: Path) -> None:
    assert keys(path, "create", "--scope", "enroll", "--certificate", "door.example").exit_code == DONE
    subject = ("--oidc-issuer", "https://id.example", "--oidc-subject", "ann")
    assert keys(path, "create", "--scope", "enroll", *subject).exit_code == DONE
    assert [each["kind"] for each in listed(path)] == ["certificate", "oidc"]
    again = keys(path, "create", "--scope", "enroll", "--certificate", "door.example")
    assert again.exit_code == FAILED
    assert "have the same credentials" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--scope", "root"), "not one of recognize, enroll, admin, audit"),
        (("--scope", "admin", "--gallery", "Lobby"), "galleries"),
        (("--scope", "admin", "--expires", "2020-01-01"), "in the past"),
        (("--scope", "admin", "--expires", "9999-12-31T23:59:59-01:00"), "neither a time"),
        (("--scope", "admin", "--expires", "soon"), "neither a time"),
        (("--scope", "admin", "--expires", "0s"), "over at once"),
        (("--scope", "admin", "--certificate", "10.0.0.7"), "10.0.0.7 is an IP address"),
        (("--scope", "admin", "--certificate", "CN=door 7"), "neither a DNS name nor a URI"),
        (("--scope", "admin", "--certificate", "DNS:door-7.example"), "leave out DNS:"),
        (("--scope", "admin", "--calls-per-second", "0"), "calls_per_second"),
        (("--scope", "admin", "--oidc-subject", "ann"), "go together"),
        (("--scope", "admin", "--certificate", "a", "--oidc-subject", "b"), "not both"),
        (("--label", "x"), "--scope"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(path: Path, arguments: tuple[str, ...], problem: str) -> None:
    result = keys(path, "create", *arguments)
    assert result.exit_code == USAGE
    assert problem in " ".join(result.stderr.replace("│", " ").split())
    assert not path.exists()


def test_an_end_is_a_time_from_now_or_a_date(path: Path) -> None:
    entry, _ = created(path, "--expires", "90d")
    assert entry.expires is not None
    assert entry.expires - entry.created == timedelta(days=90)
    entry, key = created(path, "--expires", "2999-01-31")
    assert entry.expires == datetime(2999, 1, 31, tzinfo=UTC)
    assert is_in(path, key)
    assert not is_in(path, key, at=entry.expires)


def test_revoked_callers_stay_listed_and_are_not_let_in(path: Path) -> None:
    (one, key), (two, other), (three, third) = created(path), created(path), created(path)
    unknown = keys(path, "revoke", one.id, "nobody")
    assert unknown.exit_code == FAILED
    assert is_in(path, key), "all or nothing"
    assert keys(path, "revoke", one.id, f"key:{two.id}").exit_code == DONE
    assert [is_in(path, each) for each in (key, other, third)] == [False, False, True]
    assert {each["id"]: each["state"] for each in listed(path)} == {
        one.id: "revoked",
        two.id: "revoked",
        three.id: "active",
    }
    when = read(path).callers[0].revoked
    assert keys(path, "revoke", one.id).exit_code == DONE
    assert read(path).callers[0].revoked == when


def test_a_rotated_key_stops_at_once_or_after_the_overlap(path: Path) -> None:
    entry, old = created(path, "--label", "Camera")
    new = keys(path, "rotate", entry.id).stdout.strip()
    assert (is_in(path, old), is_in(path, new)) == (False, True)
    newest = keys(path, "rotate", entry.id, "--overlap", "24h").stdout.strip()
    later = datetime.now(UTC) + timedelta(hours=25)
    assert (is_in(path, new), is_in(path, newest)) == (True, True)
    assert (is_in(path, new, at=later), is_in(path, newest, at=later)) == (False, True)
    (row,) = listed(path)
    assert (row["label"], row["state"]) == ("Camera", "active")
    assert row["previous_key_expires"]


def test_a_key_that_ended_is_not_rotated_back_to_life_by_accident(path: Path) -> None:
    entry, _ = created(path, "--expires", "1s")
    text = path.read_text("utf-8").replace(f"{entry.expires:%Y-%m-%dT%H:%M:%SZ}", "2026-01-01T00:00:00Z")
    path.write_text(text, "utf-8")
    assert listed(path)[0]["state"] == "expired"
    assert "--expires" in keys(path, "rotate", entry.id).stderr
    assert is_in(path, keys(path, "rotate", entry.id, "--expires", "1d").stdout.strip())
    keys(path, "revoke", entry.id)
    assert "was revoked" in keys(path, "rotate", entry.id).stderr


def test_the_list_says_when_a_caller_was_last_used(path: Path) -> None:
    entry, _ = created(path)
    path_of(path).write_text(json.dumps({f"key:{entry.id}": "2026-11-26T19:40:05+00:00"}), "utf-8")
    assert listed(path)[0]["last_used"] == "2026-11-26T19:40:05+00:00"


def test_the_list_cuts_no_word_at_80_columns(path: Path) -> None:
    scopes = ("--scope", "recognize", "--scope", "enroll", "--scope", "audit")
    entry, _ = created(path, *scopes, "--label", "Enrolment desk", "--gallery", "site-a-*", "--expires", "2999-01-31")
    path_of(path).write_text(json.dumps({f"key:{entry.id}": "2026-11-26T19:40:05+00:00"}), "utf-8")
    keys(path, "create", "--scope", "admin", "--label", "Door", "--certificate", "door-7.example", "--expires", "1d")
    words = keys(path, "list").stdout.split()
    shown = {entry.id, "Enrolment", "recognize", "enroll", "audit", "galleries", "site-a-*", "2999-01-31", "2026-11-26"}
    assert shown <= set(words)


def test_a_file_that_is_missing_or_broken_is_said(path: Path) -> None:
    for arguments in (("list",), ("list", "--json")):
        missing = keys(path, *arguments)
        assert missing.exit_code == FAILED
        assert f"there is no callers file {path}: make the first caller with facet keys create" in missing.stderr
    for name in ("revoke", "rotate"):
        result = keys(path, name, "x")
        assert result.exit_code == FAILED
        assert f"there is no file {path}" in result.stderr
    assert list(path.parent.iterdir()) == [], "not even a lock"
    path.write_text("{", "utf-8")
    for command in (("list",), ("create", "--scope", "admin"), ("revoke", "x")):
        result = keys(path, *command)
        assert result.exit_code == FAILED
        assert f"{path} cannot be used" in result.stderr
    assert path.read_text("utf-8") == "{"


def test_without_the_option_the_file_is_that_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_GALLERY__DATABASE", str(tmp_path / "people.sqlite3"))
    result = CliRunner().invoke(app, ["keys", "create", "--scope", "admin"], prog_name="facet")
    assert result.exit_code == DONE
    assert str(tmp_path / "facet.callers.json") in result.stderr
    assert (tmp_path / "facet.callers.json").is_file()

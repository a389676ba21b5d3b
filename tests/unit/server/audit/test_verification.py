"""A log that was changed is recognised, and verify says where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from facet.cli.app import app
from facet.server.audit.chain.files import default_key, log_files
from facet.server.audit.chain.head import InvalidHead, parse_head, read_head
from facet.server.audit.chain.keys import AuditKey, load_key
from facet.server.audit.chain.log import AuditLog
from facet.server.audit.verification import verify
from tests.unit.server.audit.logs import change_lines, forged, last_of, settings_of, verified, written

Lines = list[bytes]
KEY = AuditKey(b"another key of thirty-two bytes!")
JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=3)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)

CHANGES: dict[str, tuple[Callable[[Lines], Lines], str]] = {
    "edited": (
        lambda lines: [*lines[:3], lines[3].replace(b'"s3"', b'"s9"'), *lines[4:]],
        "line 4, entry 4: its hash is not that of its content: it was edited",
    ),
    "blanks added": (
        lambda lines: [*lines[:3], lines[3].replace(b'"team"', b' "team"'), *lines[4:]],
        "line 4, entry 4: its hash is not that of its content: it was edited",
    ),
    "code replaced": (
        lambda lines: [*lines[:3], lines[3][:-67] + b"0" * 64 + b'"}\n', *lines[4:]],
        "line 4, entry 4: it was not written with the audit key: it was edited or inserted, and its hash made to fit",
    ),
    "cut out": (
        lambda lines: [*lines[:3], *lines[5:]],
        "line 4, entry 4: entries 4 to 5 were cut out before this line",
    ),
    "reordered": (
        lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
        "line 5, entry 4: it stands after entry 5: lines were reordered",
    ),
    "repeated": (
        lambda lines: [*lines[:5], lines[2], *lines[5:]],
        "line 6, entry 3: it stands after entry 5: it was inserted",
    ),
    "garbage inserted": (lambda lines: [*lines[:3], b"{}\n", *lines[3:]], "line 4, entry 4: it is not an entry"),
    "cut off": (lambda lines: lines[:-2], "entries 9 to 10 were removed at the end: the head is entry 10"),
    "cut off within a line": (
        lambda lines: [*lines[:-1], lines[-1][:40]],
        "entry 10 was removed at the end: the head is entry 10",
    ),
    "beginning removed": (
        lambda lines: lines[2:],
        "the log begins with entry 3: what was before was removed, and not by the server",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_log_is_recognised_where_it_was_changed(tmp_path: Path, change: str) -> None:
    written(tmp_path / "audit", 10)
    make, expected = CHANGES[change]
    change_lines(tmp_path / "audit", make)
    problems = [str(problem) for problem in verified(tmp_path / "audit").problems]
    assert [problem.removeprefix("audit-000000000001.jsonl, ") for problem in problems] == [expected]


def test_untouched_log_is_sound(tmp_path: Path) -> None:
    written(tmp_path / "audit", 10)
    found = verified(tmp_path / "audit")
    assert (found.problems, found.entries, found.files) == ([], 10, 1)
    assert str(found.head) == str(last_of(tmp_path / "audit"))


def test_forged_entry_is_recognised_by_its_code(tmp_path: Path) -> None:
    """Its hash fits its content. Only the key tells that the server did not write it."""
    written(tmp_path / "audit", 10)
    change_lines(tmp_path / "audit", lambda lines: [*lines[:3], forged(lines[3], caller="key:k2"), *lines[4:]])
    (problem,) = verified(tmp_path / "audit").problems
    assert (problem.line, problem.seq) == (4, 4)


def test_forged_entry_is_recognised_by_the_next_one_without_the_key(tmp_path: Path) -> None:
    written(tmp_path / "audit", 10)
    change_lines(tmp_path / "audit", lambda lines: [*lines[:3], forged(lines[3], caller="key:k2"), *lines[4:]])
    (problem,) = verified(tmp_path / "audit", with_key=False).problems
    assert str(problem).endswith("entry 5: it does not follow entry 4: one of the two was edited or replaced")


def test_head_of_another_key_is_no_head(tmp_path: Path) -> None:
    """Whoever cuts off the end of a log cannot write a head that fits."""
    written(tmp_path / "audit", 10)
    written(tmp_path / "other", 10)
    key = load_key(default_key(tmp_path / "audit"))
    found = verify(tmp_path / "audit", {"the head": last_of(tmp_path / "other")}, key)
    assert "the head was not written with the audit key" in [str(problem) for problem in found.problems]


def test_head_without_its_code_hides_nothing(tmp_path: Path) -> None:
    """Whoever cuts off the end and writes a head that fits has no code for it: it is no head."""
    settings = written(tmp_path / "audit", 10)
    change_lines(tmp_path / "audit", lambda lines: lines[:4])
    last = json.loads(log_files(tmp_path / "audit")[0].path.read_bytes().splitlines()[-1])
    for mac in ("", "0" * 64):
        settings.head.write_text(json.dumps({"seq": 4, "hash": last["hash"], "mac": mac}))
        result = CliRunner().invoke(app, ["audit", "verify", str(tmp_path / "audit")])
        assert (result.exit_code, "sound" in result.output) == (1, False)


@hypothesis_settings(max_examples=200)
@example(b'{"seq":1e999,"hash":"x","mac":"y"}')
@example(json.dumps({"seq": 1, "hash": "0" * 64, "mac": "\ud800"}).encode())
@example(b"[" * 100_000)
@given(
    st.binary()
    | st.fixed_dictionaries({name: JSON | DIGESTS | st.integers() for name in ("seq", "hash", "mac")}).map(
        lambda found: json.dumps(found).encode()
    )
)
def test_head_is_read_in_one_form_only(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever the file holds, it is refused as no head, or has a number and two hexadecimal codes."""
    path = tmp_path_factory.getbasetemp() / "head.json"
    path.write_bytes(data)
    try:
        head = read_head(path)
    except InvalidHead:
        return
    assert head.seq >= 0
    assert len(bytes.fromhex(head.hash)) == len(bytes.fromhex(head.mac)) == 32
    assert not head.is_of(KEY)


@pytest.mark.parametrize("through", ["x", None, [], {}])
def test_entry_that_somebody_made_up_does_not_stop_verification(tmp_path: Path, through: object) -> None:
    """Without the key nobody can tell that the server did not write it."""
    written(tmp_path / "audit", 3)
    change_lines(
        tmp_path / "audit",
        lambda lines: [*lines[:2], forged(lines[2], action="files_removed", facts={"through": through})],
    )
    assert verified(tmp_path / "audit", with_key=False).entries == 3


def test_head_that_somebody_kept_shows_a_log_that_was_put_back(tmp_path: Path) -> None:
    """An old copy of log and head fits together. A head that was kept elsewhere tells that more was written."""
    settings = written(tmp_path / "audit", 5)
    (file,) = log_files(tmp_path / "audit")
    old_log, old_head = file.path.read_bytes(), settings.head.read_bytes()
    written(tmp_path / "audit", 5)
    kept = parse_head(str(last_of(tmp_path / "audit")))
    file.path.write_bytes(old_log)
    settings.head.write_bytes(old_head)
    assert verified(tmp_path / "audit").problems == []
    found = verify(tmp_path / "audit", {"--head": kept})
    assert [str(each) for each in found.problems] == ["entries 6 to 10 were removed at the end: --head is entry 10"]


def test_removed_file_is_recognised_and_retention_is_not_a_problem(tmp_path: Path) -> None:
    """Old files that the server removes are named in the log; one that somebody else removes is missing."""
    folder = tmp_path / "audit"
    written(folder, 40, max_file_bytes=4096, keep_files=3)
    found = verified(folder)
    assert (found.problems, found.files) == ([], 3)
    assert any("the server removed older files" in note for note in found.notes)
    log_files(folder)[1].path.unlink()
    assert "cut out before this line" in str(verified(folder).problems[0])


def test_server_that_finds_its_log_cut_says_so_in_the_log(tmp_path: Path) -> None:
    """A new head would hide what is missing, so the log itself tells, from then on."""
    folder = tmp_path / "audit"
    written(folder, 10)
    change_lines(folder, lambda lines: lines[:-2])
    log = AuditLog(settings_of(folder))
    assert log.damage
    log.close()
    problems = [str(problem) for problem in verified(folder).problems]
    assert any("entries 9 to 10 were cut out" in problem for problem in problems)
    assert any("the server found when it started: the log ends before its head" in problem for problem in problems)

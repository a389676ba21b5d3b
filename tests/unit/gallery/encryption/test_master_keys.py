"""Master keys are read from a file, a variable or a command; what is wrong is said without quoting a key."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from gallery.encryption.master_keys import KeyCommand, KeyFile, KeyVariable, MasterKeys, new_key
from gallery.errors import KeysUnusable


def test_the_first_of_several_keys_is_current(key_file: KeyFile) -> None:
    old = key_file.path.read_text()
    new = new_key()
    key_file.path.write_text(f"# rotated in May\n{new}\n\n{old}\n{old}\n")
    keys = key_file.read()
    assert len(keys.keys) == 2
    assert keys.current != keys.find(keys.keys[1].id)
    assert new not in repr(keys)


def test_a_variable_and_a_command_give_the_same_keys_as_a_file(
    key_file: KeyFile, masters: MasterKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACET_MASTER_KEY", key_file.path.read_text())
    assert KeyVariable("FACET_MASTER_KEY").read().keys == masters.keys
    program = f"print(open({str(key_file.path)!r}).read())"
    assert KeyCommand(shlex.join([sys.executable, "-c", program])).read().keys == masters.keys


@pytest.mark.parametrize(
    "text",
    ["", "# no key\n", "not base64!", "c2hvcnQ=", new_key()[:-8], new_key() + new_key(), "\xff\xfe"],
    ids=["empty", "comment", "no-base64", "short", "cut", "two-in-a-line", "no-text"],
)
def test_what_is_no_key_is_refused_and_not_quoted(key_file: KeyFile, text: str) -> None:
    key_file.path.write_text(text)
    with pytest.raises(KeysUnusable) as refused:
        key_file.read()
    assert str(key_file.path) in str(refused.value)
    assert not text.strip() or text.strip() not in str(refused.value) + repr(refused.value.__cause__)


def test_a_file_that_others_can_read_is_refused(key_file: KeyFile) -> None:
    key_file.path.chmod(0o640)
    with pytest.raises(KeysUnusable, match="chmod 600"):
        key_file.read()
    key_file.path.unlink()
    with pytest.raises(KeysUnusable, match="No such file"):
        key_file.read()


def test_a_variable_that_is_not_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACET_MASTER_KEY", raising=False)
    with pytest.raises(KeysUnusable, match="FACET_MASTER_KEY has no master key"):
        KeyVariable("FACET_MASTER_KEY").read()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('a secret'); raise SystemExit(3)", "exit status 3"),
        ("print('a secret', flush=True); import signal; signal.pause()", "took longer"),
        ("print('a secret')", "is not base64"),
        ("print('x' * 100_000)", "too long"),
    ],
)
def test_a_command_that_fails_is_refused_without_its_output(program: str, said: str) -> None:
    command = KeyCommand(shlex.join([sys.executable, "-c", program]), seconds=2)
    with pytest.raises(KeysUnusable, match=said) as refused:
        command.read()
    assert "a secret" not in str(refused.value) + repr(refused.value.__cause__)


@pytest.mark.parametrize("command", ["", "'", "/no/such/program", "echo key; echo key | sh"])
def test_a_command_runs_without_a_shell(command: str, tmp_path: Path) -> None:
    with pytest.raises(KeysUnusable):
        KeyCommand(command).read()

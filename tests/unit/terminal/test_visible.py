"""Text from elsewhere on a terminal."""

from __future__ import annotations

import json

import pytest

from facet.terminal import console, tables
from facet.terminal.tables import Shortened
from facet.terminal.visible import json_line, one_line, printable, visible

ATTACKS = {
    "clear the screen": ("\x1b[2J", r"\x1b[2J"),
    "the same in one character": ("\x9b2J", r"\x9b2J"),
    "return to the start of the line": ("\r", r"\x0d"),
    "reverse what follows": ("\u202egpj.exe", r"\u202egpj.exe"),
    "isolate what follows": ("\u2067", r"\u2067"),
    "bytes that are not UTF-8": ("\udcff", r"\xff"),
    "half of a pair": ("\ud83d", r"\ud83d"),
}
WRITTEN = ["Zoë", "सीता", "กิตติ", "محمد ٣", "דוד (David)", "王\u3000伟", "a\u200fb", "👩\u200d👩\u200d👧", "ന്\u200d"]


@pytest.mark.parametrize(("text", "escaped"), ATTACKS.values(), ids=ATTACKS)
def test_nothing_in_a_name_acts_on_the_terminal(text: str, escaped: str) -> None:
    table = tables.table("picture", "why", title=text)
    table.add_row(Shortened(text), text)
    with console.out.capture() as captured:
        console.out.print(f"a {text} b")
        console.out.print(table)
    assert text not in captured.get()
    assert captured.get().count(escaped) == 4


@pytest.mark.parametrize("name", WRITTEN)
def test_what_people_write_stays_as_it_is(name: str) -> None:
    assert visible(name) == printable(name) == name
    assert json_line({"name": name}) == f'{{"name": "{name}"}}'


@pytest.mark.parametrize(("text", "escaped"), ATTACKS.values(), ids=ATTACKS)
def test_json_has_escapes_that_a_reader_undoes(text: str, escaped: str) -> None:
    line = json_line([text])
    assert json.loads(line) == [escaped if text == "\udcff" else text]
    assert line.isascii()
    assert line.isprintable()


def test_a_path_cannot_fake_a_line() -> None:
    assert one_line("x\nYao Ming: enrolled\t1") == r"x\x0aYao Ming: enrolled\x091"

"""What an evaluation prints at its end."""

from __future__ import annotations

import pytest
import typer

from facet.cli.evaluate.shared.output import Output, finish
from facet.terminal import console


def test_no_name_in_a_problem_acts_on_the_terminal() -> None:
    refused = [{"image": "\x1b[2Ja\u202e.jpg", "reason": "INVALID_PICTURE"}]
    document = {"kind": "detection", "refused": refused, "partial": False}
    with console.err.capture() as captured, pytest.raises(typer.Exit):
        finish(document, Output(as_json=False, report=None, requirements=()), {}, lambda _: None, problems=["\x9b2J"])
    said = captured.get()
    assert r"refused: \x1b[2Ja\u202e.jpg" in said
    assert r"\x9b2J" in said
    assert "\u202e" not in said
    assert "\x9b" not in said

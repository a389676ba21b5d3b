"""Events as JSON lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from facet.camera.errors import OutputError
from facet.camera.outputs import EventFile, open_outputs


def test_events_are_appended_as_lines(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    for number in range(2):
        events = EventFile(file)
        events.add({"event": "appeared", "track_id": number})
        assert len(file.read_text().splitlines()) == number + 1, "each is written as it comes"
        events.close()
    assert [json.loads(line)["track_id"] for line in file.read_text().splitlines()] == [0, 1]


@pytest.mark.parametrize("name", ["no-such-folder/events.jsonl", "."])
def test_an_event_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        EventFile(tmp_path / name)


def test_a_dash_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with open_outputs(None, Path("-"), None, 10.0) as outputs:
        assert outputs.events is not None
        outputs.events.add({"event": "appeared", "display_name": "Zoë"})
    assert not sys.stdout.closed
    assert capsys.readouterr().out == '{"event": "appeared", "display_name": "Zoë"}\n'

"""``facet outcome`` and ``facet evaluate outcomes``, against a server that marks every answer for review."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from facet import Client
from facet.cli.app import app

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve


def test_answers_are_reported_and_evaluated(
    serve: Serve, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = serve("--enrollment.keep-crops", "--outcomes.review-share", "1")
    monkeypatch.setenv("FACET_ADDRESS", serving.address)
    with Client(serving.address) as client:
        client.create_gallery("team")
        client.enroll("team", "yao", pictures.yaoming)
        answers = [client.identify("team", pictures.yaoming).faces[0].identification for _ in range(4)]
        answers.append(client.identify("team", pictures.yaoming, threshold=1.0).faces[0].identification)
    assert all(each.review_requested for each in answers)

    for answer in answers[:3]:
        assert run("outcome", "team", answer.answer_id, "right").exit_code == 0
    said = run("outcome", "team", answers[3].answer_id, "wrong", "--nobody", "--json")
    assert json.loads(said.stdout) == {"gallery": "team", "verdict": "wrong", "truth": "", "nobody": True}
    assert "stored" in run("outcome", "team", answers[4].answer_id, "wrong", "--truth", "yao").stdout
    assert run("outcome", "team", answers[0].answer_id, "right", "--truth", "yao", "--nobody").exit_code == 2
    unknown = run("outcome", "team", "x", "right")
    assert (unknown.exit_code, "ANSWER_UNKNOWN" in unknown.stderr) == (1, True)

    report = tmp_path / "report"
    found = run("evaluate", "outcomes", "team", "--report", str(report), "--json")
    assert found.exit_code == 0, found.stderr
    figures = json.loads(found.stdout)
    counts = ("right_matches", "wrong_matches", "right_unknowns", "wrong_unknowns", "reported_of_review")
    assert [figures[name] for name in counts] == [3, 1, 0, 1, 5]
    for name in ("precision", "recall", "fpir", "reviewed_precision"):
        assert figures[name]["value"] is None, "two people say nothing"
        assert figures[name]["note"].startswith("too few reports")
    assert {kind: len(some) for kind, some in figures["mistakes"].items()} == {"wrong_matches": 1, "misses": 1}
    page = report / "report.html"
    assert page.read_text("utf-8").count("data:image/jpeg") == 2
    assert "only with the setting enrollment.keep_crops" in page.read_text("utf-8")
    assert {path.stat().st_mode & 0o777 for path in report.iterdir()} == {0o600}

    shown = run("evaluate", "outcomes", "team", "--require", "reviewed_precision>=0.9")
    assert shown.exit_code == 1
    assert "wrong matches" in shown.stdout
    assert "too few reports" in shown.stdout
    assert "reviewed_precision has no value (too few reports" in shown.stderr


def run(*words: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(words), prog_name="facet", catch_exceptions=False)

"""gallery.py duplicates: the table, the page, and commands that work when they are typed."""

from __future__ import annotations

import json
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from facet import Client
from tests.integration.cli.conftest import Run


@pytest.fixture
def doubled(client: Client, gallery: str, crowd: Callable[..., bytes]) -> str:
    """The id of a gallery of 100 people, three of whom are enrolled twice."""
    return client.import_gallery(iter([crowd(100, twice=3)]), f"{gallery}-doubled").gallery_id


def test_the_commands_that_are_printed_correct_what_was_found(run: Run, client: Client, doubled: str) -> None:
    printed = run("gallery.py", "duplicates", doubled, "--json")
    assert printed.returncode == 0, printed.stderr
    said = json.loads(printed.stdout)
    pairs = {
        (each["template"]["template"]["subject_id"], each["other_template"]["template"]["subject_id"])
        for each in said["findings"]
    }
    assert pairs == {(f"s{number:06}", f"z{number}") for number in range(3)}
    (merge, _), (_, apart) = (each["commands"] for each in said["findings"][:2])
    for command, *more in ((merge, "--yes"), (apart,)):
        script, *arguments = shlex.split(command)
        done = run(Path(script).name, *arguments, *more)
        assert done.returncode == 0, done.stderr
    assert client.get_gallery(doubled).subject_count == 102
    left = client.find_duplicates(doubled)
    assert len(left) == 1


def test_the_page_shows_the_pairs_and_only_its_owner_can_read_it(run: Run, doubled: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    printed = run("gallery.py", "duplicates", doubled, "--page", "page.html", "--resume", kept)
    assert printed.returncode == 0, printed.stderr
    assert "3 findings among 103 templates" in printed.stdout
    assert printed.stdout.count("enroll.py merge") == 3, "every finding has its commands"
    assert "keeps the id" in printed.stdout
    assert "For example" not in printed.stdout
    page = tmp_path / "page.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    text = page.read_text("utf-8")
    assert all(f"s{number:06}" in text and f"z{number}" in text for number in range(3))
    assert "enrollment.keep_crops" in text
    assert not kept.exists()


def test_of_many_findings_one_of_each_kind_is_an_example(
    run: Run, client: Client, gallery: str, crowd: Callable[..., bytes]
) -> None:
    many = client.import_gallery(iter([crowd(100, twice=11)]), f"{gallery}-many").gallery_id
    printed = run("gallery.py", "duplicates", many)
    assert "11 findings among 111 templates" in printed.stdout, printed.stderr
    assert printed.stdout.count("enroll.py merge") == 1
    assert "For example:" in printed.stdout


def test_a_file_of_something_else_is_not_taken_for_a_kept_search(run: Run, doubled: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("[1, 2]", "utf-8")
    refused = run("gallery.py", "duplicates", doubled, "--resume", "notes.txt")
    assert (refused.returncode, refused.stderr) == (
        2,
        "notes.txt does not keep a search for duplicates: name another file\n",
    )
    assert (tmp_path / "notes.txt").read_text("utf-8") == "[1, 2]"

"""A kept search goes on with what it had; commands of findings are for people who type them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from facet import DuplicateSearch
from facet.cli.gallery.duplicates.corrections import Corrections
from facet.cli.gallery.duplicates.kept_search import KeptSearch, NotKept
from facet.cli.gallery.duplicates.page import page
from facet.client.channel import DEFAULT_ADDRESS
from facet.v1 import gallery_service_pb2 as pb

SETTINGS = {"gallery": "team", "least_chance": 0.5}


def found(subject_id: str, second: int = 0) -> pb.FoundTemplate:
    """Make a side of a finding."""
    template = pb.Template(template_id=f"t-{subject_id}", subject_id=subject_id, create_time=Timestamp(seconds=second))
    return pb.FoundTemplate(template=template, display_name=subject_id.title(), crop=b"png")


def finding(
    one: str, other: str, kind: pb.DuplicateFinding.Kind.ValueType = pb.DuplicateFinding.KIND_SAME_PERSON
) -> pb.DuplicateFinding:
    """Make a finding; the other one was enrolled first."""
    return pb.DuplicateFinding(
        kind=kind,
        chance=0.9,
        similarity=0.5,
        template=found(one, 2),
        other_template=found(other, 1),
        template_ids=[f"t-{one}"],
    )


def response(*findings: pb.DuplicateFinding, token: str = "token") -> pb.FindDuplicatesResponse:
    """Make a response."""
    return pb.FindDuplicatesResponse(findings=findings, templates_done=7, template_count=9, resume_token=token)


def test_a_kept_search_goes_on_with_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    kept = KeptSearch(path, SETTINGS, 10)
    kept.search.take(response(finding("ann", "bea")))
    kept.keep(now=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = KeptSearch(path, SETTINGS, 10)
    assert (again.search.resume_token, again.search.findings) == ("token", [finding("ann", "bea")])
    again.finish()
    assert not path.exists()


def test_a_search_for_something_else_does_not_go_on(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    KeptSearch(path, SETTINGS, 10).keep(now=True)
    with pytest.raises(NotKept, match="least_chance 0"):
        KeptSearch(path, SETTINGS | {"least_chance": 0.9}, 10)


def test_what_is_found_twice_is_kept_once_and_a_message_without_a_token_keeps_the_last() -> None:
    search = DuplicateSearch(2)
    search.take(response(finding("ann", "bea")))
    search.take(response(finding("ann", "bea"), finding("cid", "dan"), token=""))
    assert [each.template.template.subject_id for each in search.findings] == ["ann", "cid"]
    assert search.resume_token == "token"


def test_who_was_enrolled_first_keeps_the_id() -> None:
    (merge, what), (apart, _) = Corrections("team", DEFAULT_ADDRESS).of(finding("ann", "bea"))
    assert merge == "facet people merge ann bea --gallery=team"
    assert what == "if they are one person; bea keeps the id"
    assert apart == "facet people apart ann bea --gallery=team"


def test_the_age_of_a_subject_counts_and_not_that_of_its_template() -> None:
    known = finding("ann", "bea")
    known.template.subject_create_time.seconds = 0
    known.other_template.subject_create_time.seconds = 1
    (merge, what), _ = Corrections("team", DEFAULT_ADDRESS).of(known)
    assert merge == "facet people merge bea ann --gallery=team"
    assert what == "if they are one person; ann keeps the id"


def test_odd_ids_and_another_server_are_in_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACET_ADDRESS", raising=False)
    moved = finding("-ann b", "it's", pb.DuplicateFinding.KIND_OTHER_SUBJECT)
    commands = Corrections("team", "there:1").of(moved)
    options = "--gallery=team --address=there:1"
    assert commands[0][0] == f"""facet people move 't--ann b' '--from=-ann b' '--to=it'"'"'s' {options}"""
    assert commands[1][0] == f"""facet people apart {options} -- '-ann b' 'it'"'"'s'"""


def test_the_page_says_how_many_of_whose_pictures_match_before_anybody_moves_them() -> None:
    moved = finding("blair", "powell", pb.DuplicateFinding.KIND_OTHER_SUBJECT)
    moved.template_ids[:] = [f"t{number}" for number in range(37)]
    corrections = Corrections("team", DEFAULT_ADDRESS)
    assert corrections.of(moved)[0][0].startswith("facet people move t0 --from=blair --to=powell")
    shown = page([moved], corrections, least_chance=0.5)
    assert "pictures of blair that match powell" in shown
    assert "37; the commands name 5" in shown
    assert "people merge" not in shown

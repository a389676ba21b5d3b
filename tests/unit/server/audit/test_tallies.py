"""What is counted stays bounded whatever clients do, and nothing that was counted is lost."""

from __future__ import annotations

from facet.server.audit.tallies import Row, Tallies, drafts_of


def flood(tallies: Tallies, action: str, count: int) -> None:
    for number in range(count):
        tallies.count(Row(action, "key:k1", f"2001:db8::{number:x}", f"g{number}"), calls=1)


def test_flood_of_addresses_and_galleries_is_bounded_and_counted() -> None:
    tallies = Tallies()
    for action in ("searched", "refused", "logged_in"):
        flood(tallies, action, 5_000)
    taken = tallies.take()
    assert len(taken) < 4000
    for action in ("searched", "refused", "logged_in"):
        found = [tally.counts["calls"] for row, tally in taken.items() if row.action == action]
        assert sum(found) == 5_000
        assert any(row.address == "many" for row in taken if row.action == action)


def test_what_could_not_be_noted_is_counted_on() -> None:
    tallies, row = Tallies(), Row("searched", "key:k1", "192.0.2.1", "team")
    tallies.count(row, calls=1, probes=2)
    taken = tallies.take()
    tallies.count(row, calls=1, probes=3)
    tallies.give_back(taken)
    (draft,) = drafts_of(tallies.take())
    assert (draft.facts["calls"], draft.facts["probes"]) == (2, 5)
    assert str(draft.facts["since"]) <= str(draft.facts["until"])
    assert tallies.take() == {}


def test_caller_logs_in_once_an_hour_from_an_address() -> None:
    now = [0.0]
    tallies = Tallies(lambda: now[0])
    for seconds in (0, 1, 3599, 3600, 3601):
        now[0] = seconds
        tallies.log_in("key:k1", "192.0.2.1")
    tallies.log_in("key:k1", "192.0.2.2")
    assert {row.address: tally.counts["times"] for row, tally in tallies.take().items()} == {
        "192.0.2.1": 2,
        "192.0.2.2": 1,
    }

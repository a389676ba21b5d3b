"""What expires next is kept in memory, as far as the store has told it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from gallery.opened import coming_expiries
from gallery.opened.coming_expiries import UNKNOWN, ComingExpiries
from gallery.records.expired import NOTHING_AHEAD, Expired, ExpiriesAhead, Expiry

START = datetime(2026, 11, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def test_the_first_expiry_of_a_subject_counts_and_what_may_be_incomplete_is_left_out() -> None:
    ahead = [
        Expiry(day(3), "ann", ""),
        Expiry(day(1), "ann", ""),
        Expiry(day(2), "bob", "t"),
        Expiry(day(5), "cid", ""),
    ]
    coming = ComingExpiries(ExpiriesAhead(ahead, day(4)))
    assert coming.next == day(1)
    assert coming.is_known(day(3))
    assert not coming.is_known(day(4))
    assert coming.due(day(4)) == Expired(("ann",), (("bob", "t"),))
    coming.forget_due(day(4))
    assert coming.next == day(4)
    assert not coming.due(day(9))


def test_nothing_expires_and_nothing_is_known() -> None:
    assert ComingExpiries(NOTHING_AHEAD).next is None
    assert ComingExpiries(NOTHING_AHEAD).is_known(datetime.max.replace(tzinfo=UTC))
    assert not ComingExpiries(UNKNOWN).is_known(START)


@pytest.mark.parametrize("seed", range(5))
def test_any_notes_leave_the_next_expiries_in_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coming_expiries, "AHEAD", 6)
    monkeypatch.setattr(coming_expiries, "_MOST", 12)
    rng = random.Random(seed)
    coming = ComingExpiries(NOTHING_AHEAD)
    known: dict[tuple[str, str], datetime] = {}
    moment = 0
    for _ in range(400):
        subject_id, template_id = rng.choice("abcdefgh"), rng.choice(["", "1", "2"])
        if rng.random() < 0.1:
            coming.forget([subject_id])
            known = {key: time for key, time in known.items() if key[0] != subject_id}
        elif rng.random() < 0.1:
            moment += 1
            due = [key for key, time in known.items() if time <= day(moment)]
            if coming.is_known(day(moment)):
                found = coming.due(day(moment))
                assert sorted([*found.templates, *((each, "") for each in found.subject_ids)]) == sorted(due)
            coming.forget_due(day(moment))
            known = {key: time for key, time in known.items() if key not in due}
        else:
            time = rng.choice([None, day(moment + rng.randrange(1, 30))])
            coming.note(subject_id, template_id, time)
            known.pop((subject_id, template_id), None)
            if time is not None:
                known[subject_id, template_id] = time
    assert coming.is_known(day(moment)) or coming.next is not None

"""The latest changes of a gallery: nothing that has changed since a mark is left out."""

from __future__ import annotations

from gallery.recent_changes import RecentChanges


def test_what_was_noted_since_a_mark_is_told() -> None:
    recent = RecentChanges()
    recent.note(("ann",))
    mark = recent.mark
    assert recent.since(mark) == frozenset()
    recent.note(("bob", "cid"))
    recent.note(())
    recent.note(("bob",))
    assert recent.since(mark) == frozenset({"bob", "cid"})
    assert recent.since(0) == frozenset({"ann", "bob", "cid"})


def test_a_change_of_anything_and_one_that_is_forgotten_are_not_known() -> None:
    recent = RecentChanges()
    mark = recent.mark
    for each in range(256):
        recent.note((str(each % 9),))
    assert recent.since(mark) == frozenset("012345678")
    recent.note(("ann",))
    assert recent.since(mark) is None, "the first one is forgotten"
    mark = recent.mark
    recent.note(None)
    recent.note(("ann",))
    assert recent.since(mark) is None


def test_more_subjects_than_are_worth_a_look_each_are_not_told() -> None:
    recent = RecentChanges()
    recent.note([str(each) for each in range(256)])
    assert len(recent.since(0) or ()) == 256
    recent.note(("ann",))
    assert recent.since(0) is None

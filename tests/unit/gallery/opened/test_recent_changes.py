"""The latest changes of a gallery: nothing that has changed since a mark is left out."""

from __future__ import annotations

from gallery.opened.recent_changes import RecentChanges


def subjects_since(recent: RecentChanges, mark: int) -> list[str] | None:
    changes = recent.since(mark)
    return None if changes is None else sorted(each for changed in changes for each in changed.subject_ids)


def test_what_was_noted_since_a_mark_is_told() -> None:
    recent = RecentChanges()
    recent.note(("ann",))
    mark = recent.mark
    assert subjects_since(recent, mark) == []
    recent.note(("bob", "cid"))
    recent.note(())
    recent.note(("bob",))
    assert subjects_since(recent, mark) == ["bob", "bob", "cid"]
    assert subjects_since(recent, 0) == ["ann", "bob", "bob", "cid"]


def test_a_change_of_anything_and_one_that_is_forgotten_are_not_known() -> None:
    recent = RecentChanges()
    mark = recent.mark
    for _ in range(64):
        recent.note(("ann",))
    assert subjects_since(recent, mark) == ["ann"] * 64
    recent.note(())
    assert subjects_since(recent, mark) is None, "the first one is forgotten"
    mark = recent.mark
    recent.note_anything()
    recent.note(("ann",))
    assert subjects_since(recent, mark) is None


def test_more_subjects_than_are_worth_a_look_each_are_not_told() -> None:
    recent = RecentChanges()
    recent.note([str(each) for each in range(256)])
    assert len(subjects_since(recent, 0) or ()) == 256
    recent.note(("ann",))
    assert subjects_since(recent, 0) is None
    mark = recent.mark
    recent.note([str(each) for each in range(257)])
    assert subjects_since(recent, mark) is None

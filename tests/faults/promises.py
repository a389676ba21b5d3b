"""What a test of a fault promises, and what it saw: the rows of the table in docs/reliability.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

MARKER = "promises"
SEEN = "seen"
"""The property of a test's report that holds what it saw."""

Seen = Callable[[str], None]
"""Says in one line what a test saw, with its figures."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A row of the table without what was seen.

    Attributes:
        area: the heading under which the row stands.
        fault: what happens to the server.
        promised: what Facet promises in that case.
    """

    area: str
    fault: str
    promised: str


def promises(area: str, fault: str, promised: str) -> pytest.MarkDecorator:
    """Mark a test as the proof of a row."""
    return getattr(pytest.mark, MARKER)(Promise(area, fault, promised))  # type: ignore[no-any-return]


def promise_of(item: pytest.Item) -> Promise | None:
    """Return the promise of a test; ``None`` if it has none."""
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return None
    (promise,) = marker.args
    assert isinstance(promise, Promise)
    return promise

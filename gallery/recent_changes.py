"""Which subjects of an open gallery have changed lately: who looked before a change knows whom to look at again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection

_KEPT = 256
"""How many changes are remembered."""
_MOST_SUBJECTS = 256
"""The most subjects that are worth looking at one by one."""


class RecentChanges:
    """The latest changes of an open gallery, for any number of threads.

    A change is noted once the indexes have it. So what is looked for after a mark was taken lacks at most what is noted
    since.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: deque[frozenset[str] | None] = deque(maxlen=_KEPT)
        self._count = 0

    @property
    def mark(self) -> int:
        """How many changes were noted."""
        return self._count

    def note(self, subject_ids: Collection[str] | None) -> None:
        """Note a change of subjects; ``None`` if anything may have changed."""
        with self._lock:
            self._noted.append(None if subject_ids is None else frozenset(subject_ids))
            self._count += 1

    def since(self, mark: int) -> frozenset[str] | None:
        """Return the subjects that have changed since a mark; ``None`` if they are not known, or too many."""
        with self._lock:
            count = self._count - mark
            if count > len(self._noted):
                return None
            latest = [self._noted[-1 - place] for place in range(count)]
        changed: set[str] = set()
        for subject_ids in latest:
            if subject_ids is None or len(changed) + len(subject_ids) > _MOST_SUBJECTS:
                return None
            changed |= subject_ids
        return frozenset(changed)

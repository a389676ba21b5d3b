"""What has changed in an open gallery lately: who looked before a change knows what to look at again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gallery.records.templates import EmbeddedTemplates

_KEPT = 64
"""How many changes are remembered."""
_MOST_TEMPLATES = 32
"""The most templates of a change that is remembered: all of them together stay below some megabytes."""
_MOST_SUBJECTS = 256
"""The most subjects that are worth looking at one by one."""
_NONE: Mapping[str, EmbeddedTemplates] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Changed:
    """What has changed.

    Attributes:
        subject_ids: the subjects.
        templates: by embedding contract, templates of these subjects; all that were added are among them.
    """

    subject_ids: frozenset[str]
    templates: Mapping[str, EmbeddedTemplates]


class RecentChanges:
    """The latest changes of an open gallery, for any number of threads.

    A change is noted once the indexes have it. So what is looked for after a mark was taken lacks at most what is noted
    since.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: deque[Changed] = deque(maxlen=_KEPT)
        self._count = 0

    @property
    def mark(self) -> int:
        """How many changes were noted."""
        return self._count

    def note(self, subject_ids: Collection[str], templates: Mapping[str, EmbeddedTemplates] = _NONE) -> None:
        """Note a change of subjects; see :class:`Changed`."""
        is_small = len(subject_ids) <= _MOST_SUBJECTS and all(
            len(each) <= _MOST_TEMPLATES for each in templates.values()
        )
        if not is_small:
            self.note_anything()
            return
        with self._lock:
            self._noted.append(Changed(frozenset(subject_ids), templates))
            self._count += 1

    def note_gone(self, subject_ids: Collection[str]) -> None:
        """Note that subjects are gone, and forget their templates: nothing of somebody who was erased stays."""
        gone = frozenset(subject_ids)
        with self._lock:
            for place, changed in enumerate(self._noted):
                if changed.subject_ids <= gone:
                    self._noted[place] = Changed(changed.subject_ids, _NONE)
                elif not gone.isdisjoint(changed.subject_ids):
                    self._noted.clear()
                    break
        self.note(gone)

    def note_anything(self) -> None:
        """Note that anything may have changed: what was before is not known any more."""
        with self._lock:
            self._noted.clear()
            self._count += 1

    def since(self, mark: int) -> Iterable[Changed] | None:
        """Return the changes since a mark, the latest first; ``None`` if they are not known, or too many."""
        with self._lock:
            count = self._count - mark
            if count > len(self._noted):
                return None
            latest = [self._noted[-1 - place] for place in range(count)]
        return latest if sum(len(each.subject_ids) for each in latest) <= _MOST_SUBJECTS else None

"""What the rest of the server notes in the audit log, and an audit that keeps nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

Fact: TypeAlias = bool | int | float | str | Sequence[str]
"""A fact about an action: a count, a setting, ids of callers. Never a name, a key, a vector or a picture."""

OTHER_SUBJECT = "other_subject"
"""The name of a fact that is the id of a second subject. It is kept as the first one's is."""


class Audit(Protocol):
    """Takes notes of what the server does by itself; calls are noted where they run."""

    def note(self, action: str, gallery_id: str = "", subject_id: str = "", **facts: Fact) -> None:
        """Note something that has happened. Returns at once; may be called from any thread; never raises.

        The entry's caller is that of the current call, or the server itself outside calls.

        Args:
            action: what happened, for example ``erased``.
            gallery_id: the gallery, or empty.
            subject_id: the subject, or empty. It is kept as a keyed hash, unless ``audit.subject_ids`` is ``plain``.
            facts: further facts by name, for example ``templates=3``.
        """


class NoAudit:
    """Keeps nothing: the audit of a server without ``audit.folder``."""

    def note(self, action: str, gallery_id: str = "", subject_id: str = "", **facts: Fact) -> None:
        """See :meth:`Audit.note`."""

"""The subjects that have templates in an index, each by a small number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Roster:
    """Subjects by code. Read without a lock while one thread changes it: a code is never given again.

    Attributes:
        living: how many subjects there are.
    """

    def __init__(self) -> None:
        # Two lists, as tuples would take 56 bytes a subject more.
        self._ids: list[str | None] = []
        self._names: list[str] = []
        self._templates: list[int] = []
        self._codes: dict[str, int] = {}

    @property
    def living(self) -> int:
        """How many subjects there are."""
        return len(self._codes)

    def __len__(self) -> int:
        """How many codes were given, those of subjects that are gone among them."""
        return len(self._ids)

    def code(self, subject_id: str) -> int | None:
        """The code of a subject; ``None`` where it has no template."""
        return self._codes.get(subject_id)

    def person(self, code: int) -> tuple[str, str] | None:
        """Id and name of the subject of a code; ``None`` where it is gone."""
        # The name first: while the id is there it has not been cleared.
        name = self._names[code]
        subject_id = self._ids[code]
        return None if subject_id is None else (subject_id, name)

    def count(self, subject_ids: Sequence[str], names: Sequence[str]) -> NDArray[np.int32]:
        """Count a template of each, and say their codes; a subject that is new here takes its name."""
        codes = np.empty(len(subject_ids), np.int32)
        for position, subject_id in enumerate(subject_ids):
            code = self._codes.get(subject_id)
            if code is None:
                code = len(self._ids)
                self._names.append(names[position])
                self._ids.append(subject_id)
                self._templates.append(0)
                self._codes[subject_id] = code
            self._templates[code] += 1
            codes[position] = code
        return codes

    def discount(self, code: int, templates: int) -> None:
        """Count off templates of a subject; without any it is gone."""
        self._templates[code] -= templates
        if self._templates[code] == 0:
            subject_id = self._ids[code]
            self._ids[code] = None
            self._names[code] = ""
            if subject_id is not None:
                del self._codes[subject_id]

    def rename(self, subject_id: str, name: str) -> None:
        """Give a subject another name; nothing happens where it is not here."""
        code = self._codes.get(subject_id)
        if code is not None:
            self._names[code] = name

    def compacted(self) -> tuple[Roster, NDArray[np.int32]]:
        """A roster without the codes of who is gone, and the new code of every old one, -1 where it has none."""
        fresh = Roster()
        new_codes = np.full(len(self), -1, np.int32)
        for old, (subject_id, name, templates) in enumerate(zip(self._ids, self._names, self._templates, strict=True)):
            if subject_id is not None:
                new_codes[old] = fresh._codes[subject_id] = len(fresh._ids)
                fresh._ids.append(subject_id)
                fresh._names.append(name)
                fresh._templates.append(templates)
        return fresh, new_codes

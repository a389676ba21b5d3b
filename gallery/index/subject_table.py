"""The subjects that have templates in an index, each with a small number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class SubjectTable:
    """Subjects by number. Searches read it without a lock while one thread changes it: numbers are never reused."""

    def __init__(self) -> None:
        # Two lists: tuples would take 56 bytes more for each subject.
        self._ids: list[str | None] = []
        self._names: list[str] = []
        self._templates: list[int] = []
        self._numbers: dict[str, int] = {}

    @property
    def subject_count(self) -> int:
        """The number of subjects that have templates."""
        return len(self._numbers)

    def __len__(self) -> int:
        """Return how many numbers were assigned, including those of removed subjects."""
        return len(self._ids)

    def number(self, subject_id: str) -> int | None:
        """Return the number of a subject; ``None`` if it has no template."""
        return self._numbers.get(subject_id)

    def subject(self, number: int) -> tuple[str, str] | None:
        """Return the id and name of a subject; ``None`` if it was removed."""
        # Read the name first: as long as the id is there, the name had not been cleared.
        name = self._names[number]
        subject_id = self._ids[number]
        return None if subject_id is None else (subject_id, name)

    def add_templates(self, subject_ids: Sequence[str], names: Sequence[str]) -> NDArray[np.int32]:
        """Count a template for each subject, and return their numbers; a new subject gets its name."""
        if len(set(subject_ids)) == len(subject_ids) and self._numbers.keys().isdisjoint(subject_ids):
            return self._add_new(subject_ids, names)
        numbers = np.empty(len(subject_ids), np.int32)
        for position, subject_id in enumerate(subject_ids):
            number = self._numbers.get(subject_id)
            if number is None:
                number = len(self._ids)
                self._names.append(names[position])
                self._ids.append(subject_id)
                self._templates.append(0)
                self._numbers[subject_id] = number
            self._templates[number] += 1
            numbers[position] = number
        return numbers

    def _add_new(self, subject_ids: Sequence[str], names: Sequence[str]) -> NDArray[np.int32]:
        """Add subjects that are new, each with one template: most of those that a large gallery is loaded with."""
        numbers = range(len(self._ids), len(self._ids) + len(subject_ids))
        self._names += names
        self._ids += subject_ids
        self._templates += [1] * len(subject_ids)
        self._numbers.update(zip(subject_ids, numbers, strict=True))
        return np.arange(numbers.start, numbers.stop, dtype=np.int32)

    def remove_templates(self, number: int, templates: int) -> None:
        """Subtract templates of a subject; the subject is removed with its last one."""
        self._templates[number] -= templates
        if self._templates[number] == 0:
            subject_id = self._ids[number]
            self._ids[number] = None
            self._names[number] = ""
            if subject_id is not None:
                del self._numbers[subject_id]

    def rename(self, subject_id: str, name: str) -> None:
        """Rename a subject; does nothing if it has no template."""
        number = self._numbers.get(subject_id)
        if number is not None:
            self._names[number] = name

    def compacted(self) -> tuple[SubjectTable, NDArray[np.int32]]:
        """Return a table without the removed subjects, and the new number of every old one; -1 if removed."""
        table = SubjectTable()
        new_numbers = np.full(len(self), -1, np.int32)
        for old, (subject_id, name, templates) in enumerate(zip(self._ids, self._names, self._templates, strict=True)):
            if subject_id is not None:
                new_numbers[old] = table._numbers[subject_id] = len(table._ids)
                table._ids.append(subject_id)
                table._names.append(name)
                table._templates.append(templates)
        return table, new_numbers

"""What clients said about the answers of galleries: whether they were right."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from gallery.errors import StorageError
from gallery.opened.registry import GalleryRegistry
from gallery.pages import Page, last_id, page_of
from gallery.records.outcomes import Outcome
from gallery.stores.base import Store
from gallery.times import EARLIEST

_RETRY_SECONDS = 10.0
"""How long no key is asked for after the store could not make one: searches must not wait for a full disk."""


class OutcomeReports:
    """Keeps and lists outcomes of answers, and knows the key that seals a gallery's answers.

    Args:
        store: where they are stored.
        registry: the open galleries.
    """

    def __init__(self, store: Store, registry: GalleryRegistry) -> None:
        self._store = store
        self._registry = registry
        self._retry_at = 0.0

    def sealing_key(self, gallery_id: str) -> bytes | None:
        """Return the key that seals the ids of a gallery's answers, 32 bytes; asks the store once for each gallery.

        ``None`` if the store cannot make a key now. It does not raise a :class:`gallery.errors.StorageError`: a search
        needs no id.

        Raises:
            GalleryNotFound: it does not exist.
        """
        opened = self._registry.find(gallery_id)
        if opened.answer_key is None and time.monotonic() >= self._retry_at:
            try:
                opened.answer_key = self._store.outcomes.answer_keys(gallery_id)[0]
            except StorageError:
                self._retry_at = time.monotonic() + _RETRY_SECONDS
        return opened.answer_key

    def opening_keys(self, gallery_id: str) -> Sequence[bytes]:
        """Return the keys, one of which opens the ids of a gallery's answers.

        Raises:
            GalleryNotFound: it does not exist.
            StorageError: the store cannot be read.
        """
        return self._store.outcomes.answer_keys(gallery_id)

    def report(self, gallery_id: str, outcome: Outcome, *, reporter: str = "", most: int) -> Outcome:
        """Store what was said about an answer, and return it as it is stored; it replaces what was said before.

        Args:
            gallery_id: the gallery.
            outcome: what was said.
            reporter: the id of the caller who says it; empty if it is not known.
            most: of more outcomes than this, some are deleted, see :class:`gallery.stores.logs.OutcomeLog`; at least 1.

        Raises:
            GalleryNotFound: the gallery does not exist.
            SubjectNotFound: it truly was a subject that does not exist.
            StorageError: the store cannot be written.
        """
        (told,) = self._with_contracts(gallery_id, [outcome])
        return self._store.outcomes.report(gallery_id, told, reporter=reporter, most=most)

    def list(self, gallery_id: str, *, page_size: int, page_token: str = "") -> Page[Outcome]:
        """List the outcomes of a gallery, in an order of the store's choice.

        Raises:
            GalleryNotFound: the gallery does not exist.
            InvalidPageToken: the token is not one of this list.
            StorageError: the store cannot be read.
        """
        scope = ("outcomes", gallery_id)
        found = self._store.outcomes.outcomes(gallery_id, after=last_id(page_token, scope=scope), limit=page_size + 1)
        found = self._with_contracts(gallery_id, found)
        return page_of(found, [each.outcome_id for each in found], page_size=page_size, scope=scope)

    def model_name(self, gallery_id: str, contract: str) -> str:
        """Return what the model of an answer is called; empty if that is not known.

        Raises:
            GalleryNotFound: the gallery does not exist.
        """
        return self._registry.mismatches.name(contract, self._registry.find(gallery_id).settings.migration)

    def _with_contracts(self, gallery_id: str, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Give outcomes their contracts whose answers do not tell them, as those of earlier versions: the gallery's.

        They keep none if the gallery may have had another model then: a switch begins a reference period.
        """
        if all(each.answer.contract for each in outcomes):
            return outcomes
        contract = self._registry.find(gallery_id).settings.contract
        same_since = self._store.observations.reference_starts(gallery_id).get("", EARLIEST)
        return [
            replace(each, answer=replace(each.answer, contract=contract))
            if not each.answer.contract and each.answer.time >= same_since
            else each
            for each in outcomes
        ]

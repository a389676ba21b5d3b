"""Explains why an embedding, a file or the server's models do not fit a gallery: which models these are, what helps."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gallery.errors import ContractMismatch, GalleryError
from gallery.records.galleries import Gallery
from gallery.records.migrations import Migration, ModelVersion
from gallery.stores.base import Store

_DIGITS = 8
"""Digits of a digest that are told."""
_LOOKED_AT = 16
"""The most subjects that are looked at for a template that tells its model."""


@dataclass(frozen=True, slots=True)
class ModelNames:
    """What embedding models are called.

    Attributes:
        loaded: the models that the server has loaded, the first one first.
        available: the names of further models that it could load, by contract.
        next_problem: why the second model of its settings is not loaded; empty without a problem.
    """

    loaded: Sequence[ModelVersion] = ()
    available: Mapping[str, str] = field(default_factory=dict)
    next_problem: str = ""


class Mismatches:
    """Makes the errors about embeddings of another model than a gallery has.

    Args:
        store: tells by which model an unknown gallery was enrolled.
        contract: of the server's first model.

    Attributes:
        names: what the models are called.
    """

    def __init__(self, store: Store, contract: str) -> None:
        self._store = store
        self._contract = contract
        self._digests: dict[str, str] = {}
        self.names = ModelNames()

    def not_loaded(
        self, gallery_id: str, contract: str, migration: Migration | None, *, missing: str
    ) -> ContractMismatch:
        """Return the error about a gallery whose model the server has not loaded.

        Args:
            gallery_id: the gallery.
            contract: the contract by which it is searched.
            migration: its migration.
            missing: the contract of the model that is not loaded.
        """
        name = self._name(missing, migration, gallery_id)
        if migration is None:
            text = f"gallery {gallery_id!r} was enrolled with {name}, and this server embeds with {self._loaded}"
            helps = self._bring_along(missing, gallery_id)
        else:
            role = "is switched to" if missing == migration.target.contract else "is being migrated from"
            text = f"gallery {gallery_id!r} {role} {name}, which this server has not loaded{self._why}"
            helps = self._go_on(gallery_id, contract, migration, missing)
        return self._error(gallery_id, missing, self._contract, f"{text}: {helps}", name, self._name(self._contract))

    def other_embedding(
        self, gallery_id: str, contracts: Sequence[str], migration: Migration | None, *, found: str
    ) -> ContractMismatch:
        """Return the error about an embedding of another model than those of the gallery.

        Args:
            gallery_id: the gallery.
            contracts: the contracts by which it can be searched, at least one.
            migration: its migration.
            found: the contract of the embedding.
        """
        taken = [self._name(each, migration) for each in contracts]
        name = self._name(found)
        text = (
            f"the embedding is of {name}, and gallery {gallery_id!r} takes embeddings of {' and '.join(taken)}: "
            f"AnalyzeFaces makes them with the contract {' or '.join(contracts)}"
        )
        return self._error(gallery_id, contracts[0], found, text, taken[0], name)

    def incomplete_enrollment(
        self, gallery_id: str, migration: Migration | None, *, missing: str, found: str
    ) -> ContractMismatch:
        """Return the error about an enrolment that lacks an embedding, because the gallery's models have changed."""
        name, other = self._name(missing, migration), self._name(found, migration)
        text = (
            f"an enrolment in gallery {gallery_id!r} needs an embedding of {name}, and this one has that of {other}: "
            "its migration has just begun or ended, send the enrolment again"
        )
        return self._error(gallery_id, missing, found, text, name, other)

    def other_file(self, gallery: Gallery) -> ContractMismatch:
        """Return the error about the file of a gallery whose model the server has not loaded."""
        name = self._name(gallery.contract, gallery.migration)
        text = (
            f"the file has gallery {gallery.gallery_id!r} with embeddings of {name}, and this server embeds with "
            f"{self._loaded}: {self._bring_along(gallery.contract, gallery.gallery_id, again='import it again, ')}"
        )
        found = self._contract
        return self._error(gallery.gallery_id, gallery.contract, found, text, name, self._name(found))

    @property
    def _loaded(self) -> str:
        contracts = [each.contract for each in self.names.loaded] or [self._contract]
        return " and ".join(map(self._name, contracts))

    @property
    def _why(self) -> str:
        if self.names.next_problem:
            return f" ({self.names.next_problem})"
        return "" if len(self.names.loaded) > 1 else " (models.embedding_next is not set)"

    def _bring_along(self, contract: str, gallery_id: str, *, again: str = "") -> str:
        """What helps where the server has another first model than a gallery."""
        target = self._name(self._contract)
        migrate = f"facet gallery migrate start {shlex.quote(gallery_id)} --to {shlex.quote(target)}"
        if name := self.names.available.get(contract):
            return (
                f"to search it, start the server with models.embedding={name}; to take it to {target}, with "
                f"models.embedding_next={name}, {again}then run {migrate}"
            )
        return (
            "to keep it, restore the file of that model, and start the server with models.embedding_next set to it, "
            f"{again}then run {migrate}; without that file, enrol its people in a new gallery"
        )

    def _go_on(self, gallery_id: str, contract: str, migration: Migration, missing: str) -> str:
        """What helps where the server has not loaded the models of a migration."""
        name = self._name(missing, migration)
        if migration.is_ending:
            return f"start the server with models.embedding_next={name}"
        other = migration.other_model(missing)
        both = f"start the server with models.embedding and models.embedding_next set to these two: {name}, "
        both += self._name(other.contract, migration)
        if missing != contract or other.contract not in (each.contract for each in self.names.loaded):
            return both
        command = "rollback" if migration.is_switched(contract) else "switch"
        return f"{both}; or let the other one search: facet gallery migrate {command} {shlex.quote(gallery_id)}"

    def name(self, contract: str, migration: Migration | None = None) -> str:
        """The name of a model; empty if neither the server nor the migration of its gallery knows one."""
        known = self._known(migration).get(contract)
        return (known.name if known else "") or self.names.available.get(contract, "")

    def _known(self, migration: Migration | None) -> Mapping[str, ModelVersion]:
        """The loaded models, and those of a migration, by contract."""
        migrating = (migration.source, migration.target) if migration else ()
        return {model.contract: model for model in (*migrating, *self.names.loaded)}

    def _name(self, contract: str, migration: Migration | None = None, gallery_id: str = "") -> str:
        """What people call a model: its name, else the beginning of its file's digest, else that of its contract."""
        if name := self.name(contract, migration):
            return name
        known = self._known(migration).get(contract)
        digest = known.sha256 if known else self._digest(gallery_id)
        if digest:
            return f"the model of SHA-256 {digest[:_DIGITS]}"
        return f"another model, of the contract {contract[:_DIGITS]!r}"

    def _digest(self, gallery_id: str) -> str:
        """The digest of the model that a gallery was enrolled with, as its templates tell it; empty if none does."""
        if gallery_id and gallery_id not in self._digests:
            self._digests[gallery_id] = ""
            with suppress(GalleryError):
                for subject in self._store.subjects(gallery_id, after="", limit=_LOOKED_AT):
                    templates = self._store.templates(gallery_id, subject.subject_id, after="", limit=1)
                    if digest := next((each.embedding_model for each in templates), ""):
                        self._digests[gallery_id] = digest
                        break
        return self._digests.get(gallery_id, "")

    @staticmethod
    def _error(
        gallery_id: str, expected: str, found: str, text: str, expected_model: str, found_model: str
    ) -> ContractMismatch:
        return ContractMismatch(
            gallery_id, expected, found, text=text, expected_model=expected_model, found_model=found_model
        )

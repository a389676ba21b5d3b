"""Where the rows of a gallery are in Milvus."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gallery.errors import ContractMismatch
from gallery.records.migrations import Migration
from gallery.records.templates import Template
from gallery.stores.milvus.connection import Row, quoted


@dataclass(frozen=True, slots=True)
class EmbeddedTemplate:
    """What the row of a template is made of: its contract, what is known of it, and its embedding."""

    contract: str
    template: Template
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class GalleryLocation:
    """Where the rows of a gallery are.

    During a migration a template has a row of the same id under each contract that it has an embedding of. The second
    one that was written says so in its embedding model, see :func:`second_model`, so that templates can be counted.

    Attributes:
        row: the gallery's own row.
        key: the key that all its rows have.
        contract: the embedding contract that searches.
        templates: the collection of its templates under that contract; ``None`` if it does not exist yet.
        migration: the gallery's migration; ``None`` if there is none.
        others: the collection of its templates under the other contract of the migration; ``None`` if it does not
            exist yet, or without a migration.
    """

    row: Row
    key: int
    contract: str
    templates: str | None
    migration: Migration | None = None
    others: str | None = None

    @property
    def filter(self) -> str:
        """The expression that matches the gallery's rows."""
        return f"gallery == {self.key}"

    @property
    def contracts(self) -> tuple[str, ...]:
        """The contracts of its templates, the one that searches first."""
        if self.migration is None:
            return (self.contract,)
        return self.contract, self.migration.other_model(self.contract).contract

    @property
    def stored(self) -> tuple[str, ...]:
        """The collections with rows of its templates, the one that is searched first."""
        return tuple(each for each in (self.templates, self.others) if each is not None)

    @property
    def listed(self) -> tuple[str, ...]:
        """The same, without the one whose rows are being dropped."""
        is_ending = self.migration is not None and self.migration.is_ending
        return tuple(each for each in (self.templates, None if is_ending else self.others) if each is not None)

    @property
    def counted(self) -> tuple[tuple[str, str], ...]:
        """The collections of :attr:`listed`, each with what follows an expression for one row of every template."""
        if self.migration is None or self.migration.is_ending:
            return tuple((each, "") for each in self.listed)
        found = zip((self.templates, self.others), self.contracts, strict=True)
        return tuple(
            (each, f" and embedding_model != {quoted(second_model(self.migration, contract))}")
            for each, contract in found
            if each is not None
        )

    def under(self, contract: str) -> GalleryLocation:
        """Return the location of the rows under one of the contracts alone; empty for the one that searches.

        Raises:
            ContractMismatch: the gallery has no rows of this contract.
        """
        if contract in ("", self.contract):
            return replace(self, migration=None, others=None)
        if contract not in self.contracts:
            raise ContractMismatch(str(self.row["id"]), expected=self.contract, found=contract)
        return replace(self, contract=contract, templates=self.others, migration=None, others=None)

    def embedded(
        self,
        template: Template,
        embedding: NDArray[np.float32],
        *,
        contract: str = "",
        other: NDArray[np.float32] | None = None,
    ) -> tuple[EmbeddedTemplate, EmbeddedTemplate | None]:
        """Return what the two rows of a new template are made of, that under the contract that searches first.

        Args:
            template: the template.
            embedding: its embedding.
            contract: the contract of that embedding, which searched when it was made; empty for the one that searches.
            other: its embedding under the other contract, if it has one.

        Raises:
            ContractMismatch: there is no embedding under the contract that searches.
        """
        given = {contract or self.contract: embedding}
        if other is not None and self.migration is not None:
            given |= {each: other for each in self.contracts if each not in given}
        if self.contract not in given:
            raise ContractMismatch(template.gallery_id, expected=self.contract, found=contract)
        model = template.embedding_model
        if self.migration is not None and contract not in ("", self.contract):
            model = self.migration.model(self.contract).sha256
        own = EmbeddedTemplate(self.contract, replace(template, embedding_model=model), given[self.contract])
        if len(given) == 1 or self.migration is None or self.migration.is_ending:
            return own, None
        second = replace(template, embedding_model=second_model(self.migration, self.contracts[1]))
        return own, EmbeddedTemplate(self.contracts[1], second, given[self.contracts[1]])


def second_model(migration: Migration, contract: str) -> str:
    """Return the embedding model in a row under one of the contracts of a migration that is a template's second row.

    Once the migration has ended, or another one has begun, such a row is like any other.
    """
    return f"{migration.model(contract).sha256} {migration.migration_id}"

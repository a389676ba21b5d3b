"""A gallery in memory: what a search needs of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from gallery.errors import ContractMismatch, StorageUnavailable
from gallery.index import ExactIndex
from gallery.records import Gallery
from gallery.store import Store

_LOADED_AT_ONCE = 4096


@dataclass(slots=True)
class Searchable:
    """A gallery in memory.

    Attributes:
        gallery_id: the gallery.
        gallery_contract: the embedding contract of its templates.
        server_contract: that of the server's model.
        threshold: the gallery's, as it is now.
        index: its templates; ``None`` where the two contracts differ.
        writing: held by whoever changes the gallery.
    """

    gallery_id: str
    gallery_contract: str
    server_contract: str
    threshold: float
    index: ExactIndex | None
    writing: threading.Lock = field(default_factory=threading.Lock)

    def index_for(self, contract: str) -> ExactIndex:
        """The index, for embeddings of a contract.

        Raises:
            ContractMismatch: the gallery is of another contract than these, or than the server.
        """
        if contract != self.gallery_contract:
            raise ContractMismatch(self.gallery_id, expected=self.gallery_contract, found=contract)
        if self.index is None:
            raise ContractMismatch(self.gallery_id, expected=self.gallery_contract, found=self.server_contract)
        return self.index


def new(gallery: Gallery, *, contract: str, dimension: int) -> Searchable:
    """An empty gallery in memory, on a server of an embedding contract with so many values."""
    index = ExactIndex(dimension) if gallery.contract == contract else None
    return Searchable(gallery.gallery_id, gallery.contract, contract, gallery.threshold, index)


def load(store: Store, gallery: Gallery, *, contract: str, dimension: int) -> Searchable:
    """A gallery in memory, with the templates that the store has.

    Raises:
        StorageError: the store cannot be read, or holds embeddings of another dimension under this contract.
    """
    searchable = new(gallery, contract=contract, dimension=dimension)
    index = searchable.index
    if index is None:
        return searchable
    index.reserve(gallery.template_count)
    after = ""
    while found := store.embedded_templates(gallery.gallery_id, after=after, limit=_LOADED_AT_ONCE):
        for template in found:
            if template.embedding.shape != (dimension,):
                raise StorageUnavailable(
                    f"gallery {gallery.gallery_id!r} holds embeddings of {template.embedding.size} values, "
                    f"its contract has {dimension}"
                )
            index.add(template.subject_id, template.display_name, template.template_id, template.embedding)
        after = found[-1].template_id
    return searchable

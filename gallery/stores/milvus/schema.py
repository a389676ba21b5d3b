"""What the galleries of a Milvus are kept in: which collections, with which fields."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gallery.calibration.serialization import MAX_TEXT
from gallery.errors import SchemaTooNew, StorageUnavailable
from gallery.names import MAX_ID, MAX_NAME
from gallery.stores.milvus.connection import Milvus

VERSION = 1
"""Of the schema."""

IndexType = Literal["FLAT", "HNSW"]

VECTOR = "embedding"

_ID = 4 * MAX_ID
"""Milvus counts the bytes of a text."""
_KEY = _ID + 64
_CROP = 65_535
_NOBODY = ""
"""An id that no gallery has: of the row that keeps the version of the schema. Descriptions of collections would be the
place, but Milvus Lite forgets them."""
_VERSION_FIELD = "mean_of_best"
"""Of that row."""
_INDEX_PARAMETERS: dict[str, dict[str, int]] = {"FLAT": {}, "HNSW": {"M": 32, "efConstruction": 256}}


@dataclass(frozen=True, slots=True)
class _Text:
    name: str
    longest: int


_GALLERY = "gallery"
"""The key of a gallery, in all collections but that of galleries."""

_FIELDS: dict[str, tuple[_Text | tuple[str, str], ...]] = {
    "galleries": (
        (_GALLERY, "INT64"),
        _Text("display_name", 4 * MAX_NAME),
        ("threshold", "DOUBLE"),
        ("mean_of_best", "INT64"),
        _Text("contract", _ID),
        ("created", "INT64"),
        ("updated", "INT64"),
        _Text("etag", _ID),
        _Text("calibration", MAX_TEXT),
    ),
    "subjects": (
        (_GALLERY, "INT64"),
        _Text("subject", _ID),
        _Text("display_name", 4 * MAX_NAME),
        ("created", "INT64"),
        ("updated", "INT64"),
        _Text("etag", _ID),
    ),
    "requests": ((_GALLERY, "INT64"), _Text("template", _KEY), _Text("digest", _ID)),
    "crops": ((_GALLERY, "INT64"), _Text("png", _CROP)),
    "unfinished": ((_GALLERY, "INT64"), _Text("contract", _ID), _Text("wanted", _ID), ("alive", "INT64")),
    "templates": (
        (_GALLERY, "INT64"),
        _Text("subject", _ID),
        _Text("picture", _ID),
        ("x1", "DOUBLE"),
        ("y1", "DOUBLE"),
        ("x2", "DOUBLE"),
        ("y2", "DOUBLE"),
        ("quality", "DOUBLE"),
        ("created", "INT64"),
        _Text("face_model", _ID),
        _Text("embedding_model", _ID),
        ("has_crop", "BOOL"),
        _Text("request", _ID),
        _Text("digest", _ID),
    ),
}
_NO_VECTOR = "none"
"""Every collection must have a vector."""


def fields_of(kind: str) -> tuple[str, ...]:
    """The names of a collection's fields, but for its id and its vector."""
    return tuple(field.name if isinstance(field, _Text) else field[0] for field in _FIELDS[kind])


class Collections:
    """The collections, made when they are needed.

    Galleries, subjects, further requests of templates, crops, and galleries that are being filled or removed each
    have one; templates have one for every embedding contract, partitioned by gallery. The id of a row begins with
    the key of its gallery, which is new for every gallery, also for one that takes the id of one that was deleted.

    Args:
        milvus: where.
        prefix: what their names begin with.
        index: of templates' embeddings, where a collection of them has to be made.

    Raises:
        SchemaTooNew: a newer version made them.
        StorageUnavailable: Milvus does not answer, or there are others of these names.
    """

    def __init__(self, milvus: Milvus, *, prefix: str, index: IndexType) -> None:
        self._milvus = milvus
        self._prefix = prefix
        self._index = index
        self._making = threading.Lock()
        self._dimensions: dict[str, int] = {}
        self._index_types: dict[str, str] = {}
        self.galleries = self._name("galleries")
        version = self._version()  # before the fields: those of a newer version may be others
        if version is not None and version > VERSION:
            raise SchemaTooNew(f"collection {self.galleries}", version, VERSION)
        self.made("galleries")
        if version is None:
            self._keep_version()
        self.subjects = self.made("subjects")

    def made(self, kind: str) -> str:
        """The name of a collection that is there, made where it was not."""
        return self._made(self._name(kind), kind, dimension=2)

    def found(self, kind: str) -> str | None:
        """The name of a collection, where it is there."""
        return self._found(self._name(kind), kind)

    def templates_made(self, contract: str, dimension: int) -> str:
        """The name of the collection of a contract's templates, made where it was not.

        Raises:
            StorageUnavailable: its embeddings are of another dimension.
        """
        name = self._made(self._templates(contract), "templates", dimension=dimension)
        if self._dimensions[name] != dimension:
            raise StorageUnavailable(
                f"collection {name} holds embeddings of {self._dimensions[name]} values, not of {dimension}"
            )
        return name

    def templates_found(self, contract: str) -> str | None:
        """The name of the collection of a contract's templates, where it is there."""
        return self._found(self._templates(contract), "templates")

    def index_type(self, templates: str) -> str:
        """The type of the index of a collection of templates."""
        if templates not in self._index_types:
            self._index_types[templates] = self._milvus.index_of(templates, VECTOR)
        return self._index_types[templates]

    def _name(self, kind: str) -> str:
        return f"{self._prefix}_{kind}"

    def _templates(self, contract: str) -> str:
        return f"{self._prefix}_templates_{hashlib.sha256(contract.encode()).hexdigest()[:16]}"

    def _found(self, name: str, kind: str) -> str | None:
        if name in self._dimensions:
            return name
        described = self._milvus.describe(name)
        if described is None:
            return None
        if not {field["name"] for field in described["fields"]}.issuperset(fields_of(kind)):
            raise StorageUnavailable(f"Milvus has a collection {name} with other fields; choose another prefix")
        self._milvus.load(name)
        self._dimensions[name] = _dimension(described["fields"])
        return name

    def _made(self, name: str, kind: str, *, dimension: int) -> str:
        with self._making:
            if self._found(name, kind):
                return name
            is_templates = kind == "templates"
            schema = self._milvus.schema(partition_key=_GALLERY if is_templates else None)
            types = self._milvus.types()
            schema.add_field("id", types.VARCHAR, is_primary=True, max_length=_KEY)
            for field in _FIELDS[kind]:
                if isinstance(field, _Text):
                    schema.add_field(field.name, types.VARCHAR, max_length=field.longest)
                else:
                    schema.add_field(field[0], getattr(types, field[1]))
            vector, index = (VECTOR, str(self._index)) if is_templates else (_NO_VECTOR, "FLAT")
            schema.add_field(vector, types.FLOAT_VECTOR, dim=dimension)
            self._milvus.create(name, schema, vector=vector, index=index, parameters=_INDEX_PARAMETERS[index])
            self._dimensions[name] = dimension
            return name

    def _version(self) -> int | None:
        """What made the collections; ``None`` where they are to be made, or are none of galleries."""
        described = self._milvus.describe(self.galleries)
        if described is None or _VERSION_FIELD not in {field["name"] for field in described["fields"]}:
            return None
        self._milvus.load(self.galleries)
        found = self._milvus.by_id(self.galleries, [_NOBODY], (_VERSION_FIELD,), strong=True)
        return int(found[_NOBODY][_VERSION_FIELD]) if found else None

    def _keep_version(self) -> None:
        numbers = {"threshold": 0.0, _GALLERY: 0, _VERSION_FIELD: VERSION, "created": 0, "updated": 0}
        texts = dict.fromkeys(("id", "display_name", "contract", "etag", "calibration"), _NOBODY)
        self._milvus.put(self.galleries, [with_no_vector(numbers | texts)])


def search_parameters(index_type: str, *, limit: int) -> dict[str, int]:
    """How thorough a search is; a flat index is exact."""
    return {"ef": max(256, 2 * limit)} if index_type == "HNSW" else {}


def with_no_vector(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a collection that has no use for its vector."""
    return {**row, _NO_VECTOR: (0.0, 0.0)}


def _dimension(fields: Sequence[dict[str, Any]]) -> int:
    return next(int(field["params"]["dim"]) for field in fields if "dim" in field["params"])

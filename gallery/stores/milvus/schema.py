"""The collections of the Milvus store and their fields."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gallery.errors import SchemaTooNew, StorageUnavailable
from gallery.names import MAX_ID, MAX_NAME
from gallery.records import calibration_json, migration_json
from gallery.records.consents import MAX_REFERENCE
from gallery.stores.milvus.connection import MilvusConnection

VERSION = 3
"""The schema version of new collections. Collections of earlier versions are used as they are."""

_WITH_EXPIRY = 3
"""The first schema version that stores consents, expiries and policies."""

IndexType = Literal["FLAT", "HNSW"]

VECTOR = "embedding"

_ID = 4 * MAX_ID
"""Milvus counts the bytes of a text."""
_KEY = _ID + 64
_CROP = 65_535
_COUNTS = 65_535
_OUTCOME = 8192
MAX_CHANGE = 65_535
"""The most bytes of a change."""
_VERSION_ROW = ""
"""The id of the row that stores the schema version; no gallery has it. A description of the collection would be better,
but Milvus Lite does not keep it."""
_VERSION_FIELD = "mean_of_best"
"""Of that row."""
_INDEX_PARAMETERS: dict[str, dict[str, int]] = {"FLAT": {}, "HNSW": {"M": 32, "efConstruction": 256}}


@dataclass(frozen=True, slots=True)
class _Text:
    name: str
    max_bytes: int


_GALLERY = "gallery"
"""The field of a gallery's key, in all collections."""

_FIELDS: Mapping[str, tuple[_Text | tuple[str, str], ...]] = {
    "galleries": (
        (_GALLERY, "INT64"),
        _Text("display_name", 4 * MAX_NAME),
        ("threshold", "DOUBLE"),
        ("mean_of_best", "INT64"),
        _Text("contract", _ID),
        ("created", "INT64"),
        ("updated", "INT64"),
        _Text("etag", _ID),
        _Text("calibration", calibration_json.MAX_TEXT),
        _Text("threshold_source", _ID),
        ("require_consent", "BOOL"),
        ("subject_retention", "INT64"),
        ("template_retention", "INT64"),
    ),
    "subjects": (
        (_GALLERY, "INT64"),
        _Text("subject", _ID),
        _Text("display_name", 4 * MAX_NAME),
        ("created", "INT64"),
        ("updated", "INT64"),
        _Text("etag", _ID),
        _Text("consent_basis", _ID),
        _Text("consent_reference", 4 * MAX_REFERENCE),
        ("consent_time", "INT64"),
        # When its age begins.
        ("since", "INT64"),
        ("expires", "INT64"),
    ),
    "requests": ((_GALLERY, "INT64"), _Text("template", _KEY), _Text("digest", _ID)),
    "distinct_pairs": ((_GALLERY, "INT64"), _Text("one", _ID), _Text("other", _ID)),
    "changes": (
        (_GALLERY, "INT64"),
        _Text("request", _ID),
        _Text("one", _ID),
        _Text("other", _ID),
        ("until", "INT64"),
        _Text("text", MAX_CHANGE),
    ),
    "crops": ((_GALLERY, "INT64"), _Text("png", _CROP)),
    "observations": (
        (_GALLERY, "INT64"),
        _Text("source", _KEY),
        ("start", "INT64"),
        ("span", "INT64"),
        _Text("counts", _COUNTS),
    ),
    "reference_starts": ((_GALLERY, "INT64"), _Text("source", _KEY), ("start", "INT64")),
    "answer_keys": ((_GALLERY, "INT64"), _Text("secret", _ID)),
    "outcomes": (
        (_GALLERY, "INT64"),
        _Text("subject", _ID),
        _Text("true_subject", _ID),
        ("reported", "INT64"),
        _Text("text", _OUTCOME),
    ),
    "migrations": ((_GALLERY, "INT64"), ("written", "INT64"), _Text("text", migration_json.MAX_TEXT)),
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
        ("expires", "INT64"),
    ),
}
_SINCE_VERSION_2 = frozenset({"threshold_source"})
"""Fields that collections of version 1 do not have."""
_SINCE_VERSION_3: Mapping[str, frozenset[str]] = {
    "galleries": frozenset({"require_consent", "subject_retention", "template_retention"}),
    "subjects": frozenset({"consent_basis", "consent_reference", "consent_time", "since", "expires"}),
    "templates": frozenset({"expires"}),
}
"""Fields that no collection has if that of the galleries was created by an earlier version: the versions that still use
them could not write these."""
_NO_VECTOR = "none"
"""Every collection must have a vector field."""


def fields_of(kind: str) -> tuple[str, ...]:
    """Return the names of a collection's fields without its id and its vector."""
    return tuple(map(_name_of, _FIELDS[kind]))


class Collections:
    """The collections, created when they are needed.

    There is one for galleries, subjects, crops, further requests of templates, pairs of subjects that were told
    apart, changes that can be undone, observations and their reference periods, outcomes and the keys of answers,
    migrations, and unfinished galleries.
    Templates have one for every embedding contract, partitioned by gallery. The id of a row begins with the key of
    its gallery; every gallery has a new key, even if it reuses the id of a deleted gallery.

    Args:
        milvus: the connection.
        prefix: of their names.
        index: the index type of new collections of templates.

    Attributes:
        has_expiry: whether the collections store consents, expiries and policies.
        galleries: the name of the collection of galleries.
        gallery_fields: its fields.
        subjects: the name of the collection of subjects.

    Raises:
        SchemaTooNew: a newer version of this program created them.
        StorageUnavailable: Milvus does not answer, or has other collections with these names.
    """

    def __init__(self, milvus: MilvusConnection, *, prefix: str, index: IndexType) -> None:
        self._milvus = milvus
        self._prefix = prefix
        self._index = index
        self._create_lock = threading.Lock()
        self._dimensions: dict[str, int] = {}
        self._field_names: dict[str, Collection[str]] = {}
        self._index_types: dict[str, str] = {}
        self.galleries = self._name("galleries")
        version = self._version()  # before the fields are checked: a newer version may have others
        if version is not None and version > VERSION:
            raise SchemaTooNew(f"collection {self.galleries}", version, VERSION)
        self.has_expiry = version is None or version >= _WITH_EXPIRY
        self.ensure("galleries")
        self.gallery_fields = tuple(
            name for name in self.fields("galleries") if name in self._field_names[self.galleries]
        )
        if version is None:
            self._write_version()
        self.subjects = self.ensure("subjects")

    def fields(self, kind: str) -> tuple[str, ...]:
        """Return the names of the fields that a collection has, without its id and its vector."""
        missing = frozenset() if self.has_expiry else _SINCE_VERSION_3.get(kind, frozenset())
        return tuple(name for name in fields_of(kind) if name not in missing)

    def ensure(self, kind: str) -> str:
        """Return the name of a collection, after creating it if it does not exist."""
        return self._ensure(self._name(kind), kind, dimension=2)

    def find(self, kind: str) -> str | None:
        """Return the name of a collection; ``None`` if it does not exist."""
        return self._find(self._name(kind), kind)

    def ensure_templates(self, contract: str, dimension: int) -> str:
        """Return the name of the collection of a contract's templates, after creating it if it does not exist.

        Raises:
            StorageUnavailable: its embeddings have another dimension.
        """
        name = self._ensure(self._templates(contract), "templates", dimension=dimension)
        if self._dimensions[name] != dimension:
            raise StorageUnavailable(
                f"collection {name} has embeddings of {self._dimensions[name]} values, not of {dimension}"
            )
        return name

    def find_templates(self, contract: str) -> str | None:
        """Return the name of the collection of a contract's templates; ``None`` if it does not exist."""
        return self._find(self._templates(contract), "templates")

    def index_type(self, templates: str) -> str:
        """Return the index type of a collection of templates."""
        if templates not in self._index_types:
            self._index_types[templates] = self._milvus.index_of(templates, VECTOR)
        return self._index_types[templates]

    def _name(self, kind: str) -> str:
        return f"{self._prefix}_{kind}"

    def _templates(self, contract: str) -> str:
        return f"{self._prefix}_templates_{hashlib.sha256(contract.encode()).hexdigest()[:16]}"

    def _find(self, name: str, kind: str) -> str | None:
        if name in self._dimensions:
            return name
        described = self._milvus.describe(name)
        if described is None:
            return None
        names = {field["name"] for field in described["fields"]}
        if not names.issuperset(set(self.fields(kind)) - _SINCE_VERSION_2):
            raise StorageUnavailable(f"Milvus has a collection {name} with other fields; choose another prefix")
        self._milvus.load(name)
        self._dimensions[name] = _dimension(described["fields"])
        self._field_names[name] = names
        return name

    def _ensure(self, name: str, kind: str, *, dimension: int) -> str:
        with self._create_lock:
            if self._find(name, kind):
                return name
            is_templates = kind == "templates"
            schema = self._milvus.schema(partition_key=_GALLERY if is_templates else None)
            types = self._milvus.types()
            schema.add_field("id", types.VARCHAR, is_primary=True, max_length=_KEY)
            fields = self.fields(kind)
            for field in _FIELDS[kind]:
                if _name_of(field) not in fields:
                    continue
                if isinstance(field, _Text):
                    schema.add_field(field.name, types.VARCHAR, max_length=field.max_bytes)
                else:
                    schema.add_field(field[0], getattr(types, field[1]))
            vector, index = (VECTOR, str(self._index)) if is_templates else (_NO_VECTOR, "FLAT")
            schema.add_field(vector, types.FLOAT_VECTOR, dim=dimension)
            self._milvus.create(name, schema, vector=vector, index=index, parameters=_INDEX_PARAMETERS[index])
            self._dimensions[name] = dimension
            self._field_names[name] = fields
            return name

    def _version(self) -> int | None:
        """Return the schema version of the collections; ``None`` if they do not exist, or are not ours."""
        described = self._milvus.describe(self.galleries)
        if described is None or _VERSION_FIELD not in {field["name"] for field in described["fields"]}:
            return None
        self._milvus.load(self.galleries)
        found = self._milvus.get(self.galleries, [_VERSION_ROW], (_VERSION_FIELD,), strong=True)
        return int(found[_VERSION_ROW][_VERSION_FIELD]) if found else None

    def _write_version(self) -> None:
        values: dict[str, Any] = {"threshold": 0.0, _GALLERY: 0, _VERSION_FIELD: VERSION, "created": 0, "updated": 0}
        values |= {"require_consent": False, "subject_retention": 0, "template_retention": 0}
        row = {field: values.get(field, "") for field in self.gallery_fields}
        self._milvus.upsert(self.galleries, [with_no_vector({"id": _VERSION_ROW} | row)])


def search_parameters(index_type: str, *, limit: int) -> dict[str, int]:
    """Return the parameters of a search; a flat index is exact without any."""
    return {"ef": max(256, 2 * limit)} if index_type == "HNSW" else {}


def with_no_vector(row: dict[str, Any]) -> dict[str, Any]:
    """Add the vector of a row whose collection does not need one."""
    return {**row, _NO_VECTOR: (0.0, 0.0)}


def _name_of(field: _Text | tuple[str, str]) -> str:
    return field.name if isinstance(field, _Text) else field[0]


def _dimension(fields: Sequence[dict[str, Any]]) -> int:
    return next(int(field["params"]["dim"]) for field in fields if "dim" in field["params"])

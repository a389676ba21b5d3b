"""The settings of galleries, and of where they are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from facet.server.config.sections.section import Section
from gallery.corrections.corrections import UNDO_FOR
from gallery.records.erasures import KEEP_ERASURES
from gallery.records.thresholds import DEFAULT_THRESHOLD


class GalleryConfig(Section):
    """Storage and default threshold of galleries."""

    database: Path = Path("facet.sqlite3")
    """SQLite file, created if missing. Only one server can open it at a time. With postgres_url or milvus_uri only its
    folder is used."""
    check_at_start: bool = False
    """Verify the whole database at startup, and do not start if it is damaged."""
    encryption_key_file: Path | None = None
    """File with the master key that encrypts the database: 32 random bytes in base64, as openssl rand -base64 32 prints
    them. More lines are older keys. It is watched: to rotate, put a new key in front. A plain database is encrypted in
    the background. See docs/security.md."""
    encryption_key_env: str = Field("", pattern="^(FACET_MASTER_KEY[A-Z0-9_]*)?$")
    """Name of an environment variable with the master key, instead of a file. It begins with FACET_MASTER_KEY."""
    encryption_key_command: str = ""
    """Command that prints the master key, instead of a file, for example that of a key management service. It runs at
    startup, without a shell, for at most 30 seconds. Settings are printed: put no secret into it."""
    default_threshold: float = Field(DEFAULT_THRESHOLD, ge=-1, le=1)
    """Minimum cosine similarity of a match, in galleries that are created without a threshold. docs/evaluation.md
    explains the default."""
    erase_expired_seconds: float = Field(300.0, gt=0, le=3600)
    """Interval at which expired subjects and templates are erased from the database and its files, seconds. They are in
    no answer from the moment they expire."""
    max_import_bytes: int = Field(16 * 2**30, ge=2**20)
    """Maximum size of a file for ImportGallery, bytes. The upload is stored next to the database, which then grows by
    about the same size."""
    max_transfers: int = Field(2, ge=1, le=16)
    """Maximum number of exports at the same time, and likewise of imports, of calibrations and of searches for
    duplicates; further ones are refused."""
    keep_erasures_days: int = Field(KEEP_ERASURES.days, ge=1, le=36500)
    """How many days the records of erasures are kept, which facet people erasure-report shows; three years by
    default."""
    undo_days: int = Field(UNDO_FOR.days, ge=0, le=3650)
    """How many days a merge of subjects or a move of a template can be undone. What that takes, names included, is kept
    so long; 0 keeps nothing."""
    postgres_url: SecretStr | None = None
    """Connection string of a PostgreSQL database that stores the galleries instead of SQLite, for example
    postgresql://facet@db.example.org/facet. Several servers can share it: each has its index in memory, and follows
    what the others write. Requires the extra postgres; see docs/scale.md. Set it in FACET_GALLERY__POSTGRES_URL rather
    than in the file if it has the password, or leave the password to PGPASSWORD or a password file of libpq."""
    postgres_schema: str = Field("facet", pattern="^[a-z_][a-z0-9_]{0,62}$")
    """Schema with the tables in PostgreSQL, created if missing. Servers with the same schema share galleries."""
    postgres_connections: int = Field(8, ge=2, le=1000)
    """Most connections of this server to PostgreSQL, besides one that listens for changes. Each change of a gallery
    takes one while it is made, and each import until it ends: have several more than gallery.max_transfers."""
    postgres_timeout_seconds: float = Field(10.0, gt=0, le=600)
    """Timeout of connecting to PostgreSQL, of waiting for a lock, and of a statement, seconds."""
    snapshot_dir: Path | None = None
    """Folder of files from which the large galleries of a PostgreSQL database are loaded sooner at the next start. They
    have embeddings and ids, and only this server's user can read them: see docs/scale.md. The database decides who is
    in a gallery; who was deleted is erased from the files. Default: none, but the processes of one server
    (server.processes) share a folder in memory."""
    milvus_uri: str = ""
    """Address of a Milvus that stores the galleries instead of SQLite, for example http://milvus:19530. Several servers
    can share it. Requires the extra milvus; see docs/scale.md. A path that ends in .db opens Milvus Lite, for trials
    with a single server."""
    milvus_token: SecretStr | None = None
    """Milvus credentials: user:password, or an API key. Set it in FACET_GALLERY__MILVUS_TOKEN rather than in the
    file."""
    milvus_prefix: str = Field("facet", pattern="^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    """Prefix of the collection names in Milvus. Servers with the same prefix share galleries."""
    milvus_index: Literal["FLAT", "HNSW"] = "FLAT"
    """Index type of new template collections. FLAT is exact, HNSW is approximate. Existing collections keep theirs."""
    milvus_consistency: Literal["session", "strong"] = "session"
    """What a search is guaranteed to see. session: all writes of this server; writes of others follow within a fraction
    of a second. strong: all writes of all servers; every search waits for them."""
    milvus_timeout_seconds: float = Field(10.0, gt=0, le=600)
    """Timeout of a call to Milvus, seconds."""

    @property
    def is_remote(self) -> bool:
        """Whether the galleries are in PostgreSQL or Milvus rather than in a file of this server."""
        return bool(self.milvus_uri or self.postgres_url)

    @property
    def is_encrypted(self) -> bool:
        """Whether a master key encrypts the database."""
        return bool(self.encryption_key_file or self.encryption_key_env or self.encryption_key_command)

    @model_validator(mode="after")
    def _has_one_master_key(self) -> GalleryConfig:
        named = [
            f"gallery.{name}"
            for name in ("encryption_key_file", "encryption_key_env", "encryption_key_command")
            if getattr(self, name)
        ]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} exclude each other: the master key comes from one place")
        other = "Milvus" if self.milvus_uri else "PostgreSQL" if self.postgres_url else ""
        if named and other:
            raise ValueError(
                f"{named[0]} encrypts the SQLite database only: encrypt the disk of {other}, and leave it out here"
            )
        return self

    @model_validator(mode="after")
    def _has_one_store(self) -> GalleryConfig:
        if self.milvus_uri and self.postgres_url:
            raise ValueError(
                "gallery.milvus_uri and gallery.postgres_url exclude each other: galleries have one store, so "
                "leave one of them out"
            )
        if self.snapshot_dir is not None and not self.postgres_url:
            raise ValueError(
                "gallery.snapshot_dir is for galleries in PostgreSQL: set gallery.postgres_url, or leave it out"
            )
        if self.check_at_start and self.postgres_url:
            raise ValueError("gallery.check_at_start verifies the SQLite database only: leave it out here")
        return self

    @field_validator("milvus_token")
    @classmethod
    def _empty_is_none(cls, secret: SecretStr | None) -> SecretStr | None:
        return secret if secret and secret.get_secret_value() else None

    @field_validator("postgres_url")
    @classmethod
    def _is_connection_string(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        text = url.get_secret_value().strip()
        if not text.startswith(("postgresql://", "postgres://")) and "=" not in text:
            raise ValueError("must be a connection string such as postgresql://facet@db.example.org:5432/facet")
        return SecretStr(text)

    @field_validator("milvus_uri")
    @classmethod
    def _is_address(cls, uri: str) -> str:
        if "@" in uri:
            raise ValueError("must not contain a password, because it is printed: set milvus_token")
        if uri and not uri.startswith(("http://", "https://")) and not uri.endswith(".db"):
            raise ValueError("must start with http:// or https://, or be a path that ends in .db")
        return uri

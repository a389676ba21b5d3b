"""The store that the configuration names, and masking of its secrets."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from facet.runtime.extras import install_command
from facet.server.config import Config, ConfigError, GalleryConfig, dump, load
from facet.server.stores import open_store
from gallery.errors import StorageUnavailable
from gallery.stores.sqlite.sqlite_store import SqliteStore


def test_the_store_is_sqlite_by_default(tmp_path: Path) -> None:
    store = open_store(GalleryConfig(database=tmp_path / "facet.sqlite3"))
    assert isinstance(store, SqliteStore)
    store.close()


def test_the_store_is_the_configured_milvus(tmp_path: Path) -> None:
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    store = open_store(GalleryConfig(milvus_uri=str(tmp_path / "facet.db"), milvus_prefix="mine"))
    assert not store.galleries(after="", limit=1)
    store.close()


def test_a_missing_pymilvus_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(StorageUnavailable, match=re.escape(install_command("milvus"))):
        open_store(GalleryConfig(milvus_uri="http://127.0.0.1:9"))


def test_a_missing_psycopg_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageUnavailable, match=re.escape(install_command("postgres"))):
        open_store(GalleryConfig(postgres_url=SecretStr("postgresql://127.0.0.1:9/facet")))


def test_the_url_of_postgres_is_masked_and_excludes_milvus() -> None:
    url = "postgresql://facet:hidden@db.example.org/facet"
    config = Config(gallery=GalleryConfig(postgres_url=SecretStr(url)))
    assert "hidden" not in repr(config)
    assert "hidden" not in str(dump(config))
    spaced = GalleryConfig(postgres_url=SecretStr(f" {url}\n")).postgres_url
    assert spaced == SecretStr(url)
    with pytest.raises(ConfigError, match="exclude each other") as refused:
        load(["--gallery.postgres-url", url, "--gallery.milvus-uri", "http://milvus:19530"])
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("uri", ["http://root:hidden@milvus:19530", "milvus:19530", "facet.sqlite3"])
def test_an_invalid_milvus_address_is_refused_without_printing_its_password(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"gallery\.milvus_uri") as refused:
        load(["--gallery.milvus-uri", uri])
    assert "hidden" not in str(refused.value)


def test_the_milvus_token_is_masked() -> None:
    config = Config(gallery=GalleryConfig(milvus_uri="http://milvus:19530", milvus_token=SecretStr("root:hidden")))
    assert "hidden" not in repr(config)
    assert "hidden" not in str(dump(config))
    assert GalleryConfig(milvus_token=SecretStr("")).milvus_token is None


@pytest.mark.parametrize(
    ("flags", "setting"),
    [
        (["--gallery.postgres-url", "db.hidden"], r"gallery\.postgres_url"),
        (["--gallery.postgres-url", ""], r"gallery\.postgres_url"),
        (["--gallery.postgres-connections", "1"], r"gallery\.postgres_connections"),
        (["--gallery.postgres-schema", "a-b"], r"gallery\.postgres_schema"),
        (["--gallery.check-at-start"], r"gallery\.check_at_start"),
        (["--gallery.encryption-key-file", "key"], "encrypt the disk of PostgreSQL"),
    ],
)
def test_settings_that_postgres_cannot_have_are_refused_without_printing_its_password(
    flags: list[str], setting: str
) -> None:
    with pytest.raises(ConfigError, match=setting) as refused:
        load(["--gallery.postgres-url", "postgresql://facet:hidden@db.example.org/facet", *flags])
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://facet:my@hidden@127.0.0.1:9/facet",
        "postgresql://facet:my/hidden@127.0.0.1:9/facet",
        "host=127.0.0.1 password=my hidden",
    ],
)
def test_a_password_that_breaks_the_connection_string_is_not_printed(url: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StorageUnavailable, match=r"gallery\.postgres_url is not a connection string") as refused:
        open_store(GalleryConfig(postgres_url=SecretStr(url)))
    assert "hidden" not in str(refused.value)

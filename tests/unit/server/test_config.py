"""The configuration: precedence of sources, validation, and masking of secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from facet.server.config import Config, ConfigError, ServerConfig, dump, load


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FACET_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "facet.toml"
    path.write_text("[server]\nport = 1001\nworkers = 3\nmax_queue = 7\n", "utf-8")
    return path


def test_flags_override_the_environment_and_the_environment_overrides_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACET_SERVER__PORT", "1002")
    monkeypatch.setenv("FACET_SERVER__WORKERS", "4")
    server = load(["--server.port", "1003"], file=file).server
    assert (server.port, server.workers, server.max_queue) == (1003, 4, 7)
    assert server.max_message_bytes == ServerConfig().max_message_bytes


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprot = 1\n", "server.prot"),
        ("[sever]\nport = 1\n", "sever"),
        ("[server]\nport = 'x'\n", "server.port"),
        ("[detection]\nface_min_score = 1.5\n", "detection.face_min_score"),
        ("[gallery]\ndefault_threshold = nan\n", "gallery.default_threshold"),
        ("server = [\n", r"facet\.toml is not valid TOML"),
    ],
)
def test_an_error_names_the_wrong_setting_in_the_file(file: Path, text: str, named: str) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=named):
        load(file=file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load(file=tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["FACET_SERVER_PORT", "FACET_PORT", "FACET_SERVRE__PORT"])
def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError, match=name):
        load()


def test_variables_of_clients_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_TOKEN", "x")
    monkeypatch.setenv("FACET_ADDRESS", "x:1")
    assert load().server.token is None


def test_a_token_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_SERVER__TOKEN", "very-secret")
    config = load()
    assert config.server.token is not None
    assert config.server.token.get_secret_value() == "very-secret"
    assert "very-secret" not in f"{dump(config)} {config!r} {config}"
    monkeypatch.setenv("FACET_SERVER__PORT", "x")
    with pytest.raises(ConfigError) as caught:
        load()
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_a_host_other_than_loopback_needs_a_token_or_explicit_consent(host: str) -> None:
    with pytest.raises(ValidationError, match="token"):
        ServerConfig(host=host)
    assert ServerConfig.model_validate({"host": host, "token": "x"}).host == host
    assert ServerConfig(host=host, allow_unauthenticated=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_a_loopback_host_needs_no_token(host: str) -> None:
    assert ServerConfig(host=host).token is None


def test_an_empty_token_does_not_protect_a_host() -> None:
    with pytest.raises(ValidationError, match="token"):
        ServerConfig.model_validate({"host": "0.0.0.0", "token": ""})


def test_an_empty_token_is_none() -> None:
    assert load(["--server.token", ""]).server.token is None


@pytest.mark.parametrize("token", ["schlüssel", "two\nlines"])
def test_a_token_that_grpc_metadata_cannot_carry_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="printable ASCII"):
        load(["--server.token", token])


def test_the_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Config().server.port = 1  # type: ignore[misc]


def test_every_setting_has_a_description() -> None:
    for name, section in Config.model_fields.items():
        kind = section.annotation
        assert isinstance(kind, type)
        fields = kind.model_fields
        assert all(field.description for field in fields.values()), name

"""The configuration: precedence of sources, validation, and masking of secrets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from facet.server.config import AccessConfig, Config, ConfigError, ServerConfig, dump, load


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


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[server]\nprt = 1\n", "there is no setting server.prt; did you mean server.port?"),
        ("[sever]\nport = 1\n", "there is no setting sever; did you mean server?"),
        ("[zzz]\nport = 1\n", "there is no setting zzz"),
        ("server = 1\n", "server must be a section of settings"),
        ("[server]\nport = 'x'\n", "server.port must be an integer from 0 to 65535, not 'x'"),
        ("[metrics]\nport = -1\n", "metrics.port must be an integer from 0 to 65535, not -1"),
        ("[server]\nmax_concurrent_calls = 0\n", "server.max_concurrent_calls must be an integer at least 1, not 0"),
        (
            "[detection]\nface_min_score = 1.5\n",
            "detection.face_min_score must be a number above 0 and below 1, not 1.5",
        ),
        ("[gallery]\ncheck_at_start = 7\n", "gallery.check_at_start must be true or false, not 7"),
        ("[gallery]\nmilvus_token = 7\n", "gallery.milvus_token must be text"),
        ("[models]\nproviders = 7\n", "models.providers must be a list of texts, not 7"),
        ("[models]\nproviders = [7]\n", "models.providers must be a list of texts, not 7"),
        ("[models]\nfolder = 7\n", "models.folder must be a path, not 7"),
        ("[log]\nformat = 'xml'\n", "log.format must be one of console, json, not 'xml'"),
        ("[tracing]\nendpoint = 'x'\n", "tracing.endpoint: must start with http:// or https://"),
    ],
)
def test_a_wrong_setting_is_described_in_one_line(file: Path, text: str, line: str) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file=file)
    assert str(caught.value) == line


def test_every_wrong_setting_has_its_line(file: Path) -> None:
    file.write_text("[server]\nport = 'x'\nprt = 1\n", "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file=file)
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load(file=tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["FACET_SERVER_PORT", "FACET_PORT", "FACET_SERVRE__PORT"])
def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError, match=name):
        load()


def test_an_unknown_variable_is_told_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_SERVER__PRT", "1")
    with pytest.raises(ConfigError, match=r"FACET_SERVER__PRT; did you mean FACET_SERVER__PORT\?"):
        load()


def test_a_variable_that_is_not_json_where_it_must_be_names_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_MODELS__PROVIDERS", "x")
    with pytest.raises(ConfigError, match=r"^models: .* must be valid JSON$"):
        load()


def test_variables_of_clients_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_TOKEN", "x")
    monkeypatch.setenv("FACET_ADDRESS", "x:1")
    for name in ("FACET_FROM_TOKEN", "FACET_FROM_CA", "FACET_TO_ADDRESS", "FACET_TO_TOKEN", "FACET_TO_CA"):
        monkeypatch.setenv(name, "x")
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
def test_other_machines_may_reach_a_host_other_than_loopback(host: str) -> None:
    assert not ServerConfig(host=host).is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_only_this_machine_reaches_a_loopback_host(host: str) -> None:
    assert ServerConfig(host=host).is_loopback


def test_the_callers_file_is_beside_the_database_unless_it_is_set(tmp_path: Path) -> None:
    config = load(["--gallery.database", str(tmp_path / "people.sqlite3")])
    assert config.callers_file == tmp_path / "facet.callers.json"
    assert load(["--access.callers", "who.json"]).callers_file == Path("who.json")


@pytest.mark.parametrize("token", ["", " ", "\t", "\n"])
def test_an_empty_token_is_refused_from_every_source(
    token: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is a variable that was never filled, and not the wish to run without a token."""
    file = tmp_path / "facet.toml"
    file.write_text(f"[server]\ntoken = {json.dumps(token)}\n", "utf-8")
    empty = "^server: token is set but empty: set one, or remove the setting to run without a token$"
    with pytest.raises(ConfigError, match=empty):
        load(file=file)
    with pytest.raises(ConfigError, match=empty):
        load(["--server.token", token])
    monkeypatch.setenv("FACET_SERVER__TOKEN", token)
    with pytest.raises(ConfigError, match=empty):
        load()
    with pytest.raises(ConfigError, match="token is set but empty"):
        load(["--server.allow-unauthenticated", "--server.host", "0.0.0.0"])


@pytest.mark.parametrize("token", [" secret", "secret "])
def test_a_token_that_grpc_would_shorten_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="begins or ends with a space"):
        load(["--server.token", token])


@pytest.mark.parametrize("token", ["schlüssel", "two\nlines"])
def test_a_token_that_grpc_metadata_cannot_carry_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="printable ASCII"):
        load(["--server.token", token])


def test_reflection_is_off_by_itself_only_where_strangers_on_other_machines_could_ask() -> None:
    assert ServerConfig().reflects(has_callers=False)
    assert ServerConfig(host="0.0.0.0").reflects(has_callers=True)
    assert not ServerConfig(host="0.0.0.0").reflects(has_callers=False)
    assert ServerConfig(host="0.0.0.0", reflection="on").reflects(has_callers=False)
    assert not ServerConfig(reflection="off").reflects(has_callers=True)


OIDC = {"oidc_issuer": "https://login.example.org", "oidc_audience": "facet", "oidc_keys": "/etc/facet/keys.json"}


@pytest.mark.parametrize("missing", OIDC)
def test_an_identity_provider_needs_issuer_audience_and_keys(missing: str) -> None:
    assert AccessConfig.model_validate(OIDC).provider
    assert AccessConfig().provider is None
    with pytest.raises(ValidationError, match=f"{missing} must be set"):
        AccessConfig.model_validate({name: value for name, value in OIDC.items() if name != missing})


@pytest.mark.parametrize(
    ("url", "is_right"),
    [
        ("https://login.example.org/keys", True),
        ("http://127.0.0.1:8080/keys", True),
        ("http://[::1]:8080/keys", True),
        ("http://localhost/keys", True),
        ("http://login.example.org/keys", False),
        ("HTTP://login.example.org/keys", False),
        ("http://127.0.0.1.example.org/keys", False),
        ("http://127.0.0.1@example.org/keys", False),
        ("https://name:password@login.example.org/keys", False),
    ],
)
def test_keys_of_a_provider_cross_the_network_only_where_nobody_can_change_them(url: str, *, is_right: bool) -> None:
    if is_right:
        assert AccessConfig.model_validate(OIDC | {"oidc_keys": url}).oidc_keys == url
        return
    with pytest.raises(ValidationError):
        AccessConfig.model_validate(OIDC | {"oidc_keys": url})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", ""])
def test_metrics_beyond_loopback_need_a_token_or_explicit_consent(host: str) -> None:
    flags = ["--metrics.port", "0", "--metrics.host", host]
    with pytest.raises(ConfigError, match=r"^metrics.host .* set metrics.token$"):
        load(flags)
    assert load(flags[2:]).metrics.port is None, "no port, nothing to protect"
    assert load([*flags, "--metrics.token", "a-token-of-the-monitoring"]).metrics.host == host
    assert load([*flags, "--server.allow-unauthenticated"]).metrics.host == host
    assert load([*flags, "--server.insecure"]).metrics.host == host
    assert load(flags[:2]).metrics.token is None, "loopback needs none"


def test_an_empty_token_of_the_metrics_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_METRICS__TOKEN", "")
    with pytest.raises(ConfigError, match=r"^metrics.token: token is set but empty"):
        load()


@pytest.mark.parametrize(("flags", "store"), [((), "SQLite"), (("--gallery.milvus-uri", "people.db"), "Milvus Lite")])
def test_processes_share_no_file(flags: tuple[str, ...], store: str) -> None:
    with pytest.raises(ConfigError, match=f"only one process can open a database of {store}: set gallery.postgres_url"):
        load(["--server.processes", "2", *flags])
    assert load(["--server.processes", "1", *flags]).server.processes == 1


@pytest.mark.parametrize(
    "flags", [("--gallery.milvus-uri", "http://milvus:19530"), ("--gallery.postgres-url", "postgresql://db/facet")]
)
def test_processes_share_a_store_of_several_servers(flags: tuple[str, ...]) -> None:
    assert load(["--server.processes", "2", *flags]).server.processes == 2


def test_the_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Config().server.port = 1  # type: ignore[misc]


def test_every_setting_has_a_description() -> None:
    for name, section in Config.model_fields.items():
        kind = section.annotation
        assert isinstance(kind, type)
        fields = kind.model_fields
        assert all(field.description for field in fields.values()), name


def test_a_secret_comes_from_a_file_and_is_masked_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "token"
    secret.write_text("a-secret-of-a-file\n", "utf-8")
    monkeypatch.setenv("FACET_METRICS__TOKEN_FILE", str(secret))
    monkeypatch.setenv("FACET_METRICS__PORT", "9464")
    config = load()
    assert config.metrics.token is not None
    assert config.metrics.token.get_secret_value() == "a-secret-of-a-file"
    assert config.metrics.port == 9464
    assert "a-secret-of-a-file" not in json.dumps(dump(config))
    token = load(["--metrics.token", "a-token-of-a-flag"]).metrics.token
    assert token is not None
    assert token.get_secret_value() == "a-token-of-a-flag"


@pytest.mark.parametrize(
    ("contents", "problem"),
    [(None, "No such file or directory"), (b"\n", "is empty"), (b"\xff\xfe", "is not text in UTF-8")],
)
def test_a_file_that_holds_no_secret_is_refused(
    contents: bytes | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "url"
    if contents is not None:
        secret.write_bytes(contents)
    monkeypatch.setenv("FACET_GALLERY__POSTGRES_URL_FILE", str(secret))
    with pytest.raises(ConfigError, match=f"^FACET_GALLERY__POSTGRES_URL_FILE: .*{problem}"):
        load()


def test_a_secret_is_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("one-of-two-tokens", "utf-8")
    monkeypatch.setenv("FACET_SERVER__TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("FACET_SERVER__TOKEN", "the-other-of-them")
    with pytest.raises(ConfigError, match="FACET_SERVER__TOKEN and FACET_SERVER__TOKEN_FILE exclude each other"):
        load()


def test_only_secrets_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_SERVER__PORT_FILE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"^there is no setting FACET_SERVER__PORT_FILE; did you mean FACET_"):
        load()

"""Loads the configuration: a frozen tree of settings from a TOML file, the environment and flags."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from facet.client.channel import ADDRESS_VARIABLE, TOKEN_VARIABLE
from facet.client.tls import CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE
from facet.server.config.problems import ConfigError, explain, is_secret, no_such, setting_names
from facet.server.config.secret_files import SUFFIX, with_secrets
from facet.server.config.sections import (
    AccessConfig,
    AuditConfig,
    DetectionConfig,
    EnrollmentConfig,
    GalleryConfig,
    IdentificationConfig,
    LogConfig,
    MetricsConfig,
    ModelsConfig,
    MonitoringConfig,
    OutcomesConfig,
    PicturesConfig,
    ServerConfig,
    TracingConfig,
    VerificationConfig,
)

ENV_PREFIX = "FACET_"
MASTER_KEY_PREFIX = "FACET_MASTER_KEY"
"""How a variable begins that gallery.encryption_key_env may name."""
CALLERS_FILE = "facet.callers.json"
"""The name of the callers file, if no other is set."""
_CLIENT_VARIABLES = (
    *(ADDRESS_VARIABLE, TOKEN_VARIABLE, CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE),
    *("FACET_FROM_TOKEN", "FACET_FROM_CA", "FACET_TO_ADDRESS", "FACET_TO_TOKEN", "FACET_TO_CA"),
)
"""Variables of commands, those of both servers of ``facet gallery copy`` among them."""


class Config(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
        cli_prog_name="serve.py",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    server: ServerConfig = ServerConfig()
    access: AccessConfig = AccessConfig()
    models: ModelsConfig = ModelsConfig()
    pictures: PicturesConfig = PicturesConfig()
    detection: DetectionConfig = DetectionConfig()
    enrollment: EnrollmentConfig = EnrollmentConfig()
    identification: IdentificationConfig = IdentificationConfig()
    verification: VerificationConfig = VerificationConfig()
    gallery: GalleryConfig = GalleryConfig()
    outcomes: OutcomesConfig = OutcomesConfig()
    audit: AuditConfig = AuditConfig()
    log: LogConfig = LogConfig()
    metrics: MetricsConfig = MetricsConfig()
    monitoring: MonitoringConfig = MonitoringConfig()
    tracing: TracingConfig = TracingConfig()

    @model_validator(mode="after")
    def _metrics_are_protected(self) -> Self:
        metrics = self.metrics
        is_open = metrics.port is not None and metrics.token is None and not metrics.is_loopback
        if is_open and not (self.server.allow_unauthenticated or self.server.insecure):
            raise ValueError(
                f"metrics.host {metrics.host} is reachable from other machines, and metrics contain gallery ids: "
                "set metrics.token"
            )
        return self

    @model_validator(mode="after")
    def _processes_share_a_store(self) -> Self:
        gallery = self.gallery
        if self.server.processes > 1 and (not gallery.is_remote or gallery.milvus_uri.endswith(".db")):
            store = "Milvus Lite" if gallery.is_remote else "SQLite"
            raise ValueError(
                f"server.processes is {self.server.processes}, and only one process can open a database of {store}: "
                "set gallery.postgres_url (docs/scale.md), or leave server.processes at 1"
            )
        return self

    @property
    def callers_file(self) -> Path:
        """The file of the callers."""
        return self.access.callers or self.gallery.database.parent / CALLERS_FILE

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the name is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources by precedence: flags and values set in code, then the environment, then the file."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=cls.model_config.get("toml_file"))
        if isinstance(env_settings, EnvSettingsSource):
            env_settings.env_vars = with_secrets(env_settings.env_vars, secret_variables())
        return init_settings, env_settings, file


def load(arguments: Sequence[str] = (), *, file: Path | None = None) -> Config:
    """Load the configuration.

    Args:
        arguments: flags, for example ``["--server.port", "50052"]``.
        file: TOML file with the sections of :class:`Config`.

    Raises:
        ConfigError: the file or a file of a secret cannot be read, or a setting or its value is invalid.
        SystemExit: the arguments ask for help, or contain an unknown flag (code 2).
    """
    if file is not None and not file.is_file():
        raise ConfigError(f"configuration file {file} does not exist")
    variables = {variable_of(name) for name in (*Config.model_fields, *setting_names(Config))}
    variables |= {f"{variable}{SUFFIX}" for variable in secret_variables()}
    ours = [name for name in os.environ if name.startswith(ENV_PREFIX) and name not in _CLIENT_VARIABLES]
    ours = [name for name in ours if not name.startswith(MASTER_KEY_PREFIX)]
    if unknown := sorted(name for name in ours if name.upper() not in variables):
        raise ConfigError("\n".join(no_such(name, variables) for name in unknown))

    class FileConfig(Config):
        __doc__ = Config.__doc__
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return FileConfig(_cli_parse_args=list(arguments))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from error
    except SettingsError as error:
        section = str(error).partition('"')[2].partition('"')[0]
        raise ConfigError(f"{section}: a section or a list that is not in the file must be valid JSON") from error
    except ValidationError as error:
        raise ConfigError(explain(error, Config)) from error


def dump(config: Config) -> dict[str, Any]:
    """Return the configuration as plain values, with secrets masked."""
    plain: dict[str, Any] = config.model_dump(mode="json")
    return plain


def secret_variables() -> list[str]:
    """The variables of all settings that are secret."""
    return [variable_of(name) for name, field in setting_names(Config).items() if is_secret(field)]


def variable_of(name: str) -> str:
    """The environment's variable of a setting or a section: FACET_SERVER__PORT for ``server.port``."""
    return ENV_PREFIX + name.replace(".", "__").upper()

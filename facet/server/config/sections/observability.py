"""The settings of what the server writes down and shows: audit log, log, metrics, traces."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from facet.server.access.token import problem_of
from facet.server.config.sections.section import Section, is_loopback


class AuditConfig(Section):
    """The audit log: who did what to which gallery; see docs/security.md."""

    folder: Path | None = None
    """Folder of the audit log, made if missing. Without it, there is none. Only one server can write to it at a
    time."""
    head: Path | None = None
    """File with the number and the hash of the last entry, which shows if the end of the log is missing. By default
    head.json in audit.folder; on another disk, whoever changes the log does not reach it."""
    key_file: Path | None = None
    """File with the audit key, 64 hexadecimal digits, readable by its owner only. It is made with a new log. By default
    beside audit.folder, with its name and .key."""
    fsync: Literal["always", "interval", "never"] = "interval"
    """When entries must be on disk. always: before the change that they announce is made. interval: within
    audit.fsync_seconds. never: when the system writes them."""
    fsync_seconds: float = Field(1.0, gt=0, le=3600)
    """How often entries and the head are brought to disk, seconds. With always, the entry before a change does not wait
    for it."""
    subject_ids: Literal["hashed", "plain"] = "hashed"
    """How ids of subjects are kept. hashed: as a keyed hash, which facet audit show --subject finds. plain: as they
    are."""
    max_file_bytes: int = Field(64 * 2**20, ge=2**16, le=2**40)
    """A file that would become longer is followed by a new one, bytes."""
    keep_files: int = Field(0, ge=0, le=1_000_000)
    """Maximum number of files; 0 keeps all. The oldest are removed, and an entry says so."""
    keep_days: int = Field(0, ge=0, le=36_500)
    """A file is removed this long after its last entry, days, and a new one begins each day; 0 keeps all."""


class LogConfig(Section):
    """The server's log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of logged events."""
    format: Literal["console", "json"] = "console"
    """console for people, json for programs."""


class MetricsConfig(Section):
    """Prometheus metrics and slow requests; see docs/operations.md."""

    port: int | None = Field(None, ge=0, le=65535)
    """Port that serves Prometheus metrics and the probes /livez and /readyz over HTTP; 0 picks a free one. Without it,
    they are not served."""
    host: str = "127.0.0.1"
    """Address that serves metrics and probes. Any address other than loopback requires token, because metrics contain
    gallery ids. There is no TLS: keep it on a trusted network."""
    token: SecretStr | None = None
    """Bearer token that a scrape of /metrics must send; the probes answer without it, and say no reason then. Set it in
    FACET_METRICS__TOKEN rather than in the file."""
    slow_ms: float = Field(1000.0, ge=0)
    """Requests that take at least this long are logged as warnings with the time of each stage, milliseconds."""

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine reach host."""
        return is_loopback(self.host)

    @field_validator("token")
    @classmethod
    def _is_usable(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and (problem := problem_of(token)):
            raise ValueError(problem)
        return token


class MonitoringConfig(Section):
    """Counts of searches by hour, from which errors and drift are estimated; see docs/operations.md."""

    record: bool = True
    """Count similarities, decisions and qualities of identified faces, by gallery, by camera or caller, and by hour.
    No vectors and no ids of people are kept."""
    flush_seconds: float = Field(60.0, ge=0.1, le=3600)
    """How often counts are stored in the database, seconds. If the server is killed, those of the last interval are
    lost."""
    keep_hours_days: int = Field(14, ge=1, le=3650)
    """How many days counts are kept by hour. Older ones are kept by day, except those of reference
    periods. In Milvus all stay by hour."""
    keep_days: int = Field(400, ge=1, le=3650)
    """How many days counts are kept at all."""


class TracingConfig(Section):
    """OpenTelemetry traces of requests. Requires the extra tracing; see docs/operations.md."""

    endpoint: str = ""
    """OTLP/HTTP endpoint, for example http://127.0.0.1:4318/v1/traces; empty disables tracing."""
    ratio: float = Field(1.0, ge=0, le=1)
    """Share of requests that are traced, [0, 1]. A request that belongs to a client's trace follows the client's
    decision instead."""

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, endpoint: str) -> str:
        if "@" in endpoint:
            raise ValueError("must not contain a password, because it is printed: set OTEL_EXPORTER_OTLP_HEADERS")
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return endpoint

"""The settings of the server, and of those who call it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from facet.runtime.inference.slots import Preset
from facet.server.access.oidc.provider import Provider
from facet.server.access.token import problem_of
from facet.server.config.sections.section import Section, is_loopback

_MESSAGES_IN_PROGRESS = 6
_LARGER_BYTES = 2 * 2**20


class ServerConfig(Section):
    """Network address, security and load limits."""

    host: str = "127.0.0.1"
    """Address to listen on. On any address other than loopback, the server does not start without callers (or a token)
    and TLS, unless insecure is set."""
    port: int = Field(50051, ge=0, le=65535)
    """Port to listen on; 0 picks a free one."""
    token: SecretStr | None = None
    """Bearer token that lets its bearer do everything. Give callers keys of their own instead: see access.callers. Set
    it in FACET_SERVER__TOKEN rather than in the file. The server does not start with an empty token, and warns of one
    that is easy to guess."""
    allow_unauthenticated: bool = False
    """Start on a non-loopback host without callers and without a token: a proxy in front of the server authenticates
    clients, or every client with a certificate of server.tls_client_ca may do everything."""
    insecure: bool = False
    """Start on a non-loopback host without callers and without TLS. Everybody who reaches it may do everything, and
    reads what others send. facet serve --insecure is the same."""
    tls_certificate: Path | None = None
    """PEM file with the certificate chain; requires tls_key."""
    tls_key: Path | None = None
    """PEM file with the private key; requires tls_certificate."""
    tls_client_ca: Path | None = None
    """PEM file with the authorities (CAs) of client certificates. If it is set, only clients with a certificate that
    one of them has signed can connect. Requires tls_certificate."""
    reflection: Literal["auto", "on", "off"] = "auto"
    """Whether the server describes its services to clients that ask (gRPC reflection). If the server has
    callers, only they may ask. auto turns it off if it has none and other machines can reach host."""
    preset: Preset = "latency"
    """latency runs one inference at a time on all cores: the fastest answer to a single request. throughput runs one
    inference per core at the same time: more requests per second, for batches and many cameras. docs/performance.md
    compares them."""
    processes: int = Field(1, ge=1, le=64)
    """Number of server processes that share the port. The cores are divided between them; every other setting and limit
    holds for each. More than one needs gallery.postgres_url or gallery.milvus_uri; see docs/scale.md. facet serve
    --processes is the same."""
    workers: int = Field(0, ge=0, le=256)
    """Requests processed at the same time, each on its own thread; 0 means one per core that the process may use."""
    max_queue: int = Field(32, ge=0, le=4096)
    """Requests that may wait for a worker. When the queue is full, a new request is refused, unless it is more urgent
    than some that wait, or another caller has more of them: that caller's last one is then refused."""
    max_message_bytes: int = Field(16 * 2**20, ge=2**16, le=2**30)
    """Maximum size of a request message, bytes."""
    max_request_bytes: int = Field(0, ge=0, le=2**40)
    """Maximum bytes of all request messages in progress; 0 means 6 x max_message_bytes. Budget about three times that
    of memory. When it is reached, streams are read from more slowly, and unary calls wait, then are refused."""
    max_concurrent_calls: int = Field(64, ge=1)
    """Maximum number of open unary calls, and likewise of open streams; further ones are refused. A call counts once
    its request has arrived. Health checks do not count."""
    receive_seconds: float = Field(30.0, gt=0)
    """Time that the client of a unary call has to send its request, and likewise to take its answer, seconds."""
    max_connections: int = Field(1000, ge=1, le=100_000)
    """Maximum number of open connections. Beyond it, those that are idle longest are ended, first of the address that
    has most. Each costs about 15 KB and a file descriptor; the limit on descriptors is raised if the system permits
    it."""
    max_connections_per_address: int = Field(500, ge=1)
    """Maximum number of open connections of one client address (of one /64 network for IPv6), as max_connections.
    Behind a proxy, all connections have its address."""
    idle_seconds: float = Field(300.0, gt=0, le=86_400)
    """A connection without a call for this long is closed, seconds. Clients connect again with their next call."""
    stall_seconds: float = Field(60.0, gt=0)
    """A stream ends if its client neither sends nor receives anything for this long while the server waits for it,
    seconds."""
    min_transfer_bytes_per_second: int = Field(32 * 2**10, ge=1)
    """Minimum pace of an import, an export or a calibration, averaged over stall_seconds, while the server waits for
    the client. A slower one ends."""
    drain_seconds: float = Field(20.0, ge=0)
    """Time that open calls have to finish after SIGTERM, seconds. Transfers slower than 1 MiB a second end within 2
    seconds."""

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine reach host."""
        return is_loopback(self.host)

    def reflects(self, *, has_callers: bool) -> bool:
        """Whether the server answers reflection, if callers must say who they are, or need not."""
        if self.reflection == "auto":
            return self.is_loopback or has_callers
        return self.reflection == "on"

    @property
    def receivable_bytes(self) -> int:
        """Maximum bytes of a message that is received before it is refused.

        It is somewhat more than max_message_bytes, so that the refusal has a reason. gRPC refuses larger messages as
        soon as their length arrives.
        """
        return self.max_message_bytes + _LARGER_BYTES

    @property
    def request_budget(self) -> int:
        """Maximum bytes of all request messages in progress; never less than one message."""
        return max(self.max_request_bytes or _MESSAGES_IN_PROGRESS * self.max_message_bytes, self.max_message_bytes)

    @model_validator(mode="after")
    def _is_protected(self) -> Self:
        if self.token is not None and (problem := problem_of(self.token)):
            raise ValueError(problem)
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key must be set together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca requires tls_certificate and tls_key")
        return self


class AccessConfig(Section):
    """Who may call, and what each caller may do at a time; see docs/security.md."""

    callers: Path | None = None
    """File of the callers, which facet keys writes; by default facet.callers.json in the folder of gallery.database. As
    soon as it exists, only callers in it (and server.token) are let in. A change is in effect within a second. If this
    is set, the file must exist at start."""
    calls_per_second: float | None = Field(None, gt=0, le=1e6)
    """Calls that a caller may make per second; those of one second, at least two, may come at once. Further calls are
    refused with CALLER_RATE_EXCEEDED. Each picture of a stream after the first counts as a call, and waits. Without it,
    there is no limit."""
    concurrent_calls: int | None = Field(None, ge=1)
    """Calls and streams that a caller may have open; further ones are refused with CALLER_CONCURRENCY_EXCEEDED. Without
    it, there is no limit but server.max_concurrent_calls."""
    oidc_issuer: str = ""
    """Issuer of bearer tokens (JWT) that callers may send: what their claim iss must be. Requires oidc_audience and
    oidc_keys."""
    oidc_audience: str = ""
    """What the claim aud of a token must be or contain: the name of this server at the identity provider."""
    oidc_keys: str = ""
    """Public keys of the identity provider: a file with a JWK set, or its https URL (jwks_uri of the provider). Both
    are read again when they change. http is for loopback only."""
    oidc_galleries_claim: str = "facet_galleries"
    """Claim with the galleries of a caller who has no entry in the callers file: ids, prefixes such as site-a-*, or
    *."""

    @field_validator("oidc_keys")
    @classmethod
    def _is_trusted(cls, location: str) -> str:
        url = urlsplit(location)
        if url.scheme in ("http", "https"):
            if url.username is not None or url.password is not None:
                raise ValueError("must not contain a password, because it is printed")
            if url.scheme == "http" and not is_loopback(url.hostname or ""):
                raise ValueError("must start with https://: whoever changes the keys on their way lets himself in")
        return location

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        given = {"oidc_issuer": self.oidc_issuer, "oidc_audience": self.oidc_audience, "oidc_keys": self.oidc_keys}
        if any(given.values()) and not all(given.values()):
            missing = [name for name, value in given.items() if not value]
            raise ValueError(f"{' and '.join(missing)} must be set, too: {', '.join(given)} belong together")
        return self

    @property
    def provider(self) -> Provider | None:
        """The identity provider; ``None`` if there is none."""
        if not self.oidc_issuer:
            return None
        return Provider(self.oidc_issuer, self.oidc_audience, self.oidc_keys, self.oidc_galleries_claim)

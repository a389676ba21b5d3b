"""The sections of the configuration, with every setting.

The docstring of a setting is its description in ``facet serve --help`` and in docs/configuration.md.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from facet.runtime.inference_slots import Preset
from facet.runtime.providers import CPU_PROVIDER
from facet.runtime.sessions import RuntimeName
from facet.server.access.oidc.provider import Provider
from facet.server.access.token import problem_of
from gallery.records.enrollments import MIN_SIMILARITY
from gallery.records.erasures import KEEP_ERASURES
from gallery.records.galleries import DEFAULT_THRESHOLD
from recognizer.quality import NO_LIMITS, QualityLimits
from recognizer.settings import ModelSettings, PipelineSettings

NONE = "none"
_MESSAGES_IN_PROGRESS = 6
_LARGER_BYTES = 2 * 2**20

_MODELS = ModelSettings()
_PIPELINE = PipelineSettings()
_FINDER = _PIPELINE.finder
_QUALITY = QualityLimits()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ServerConfig(_Section):
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
    """Start on a non-loopback host without callers and without a token, because a proxy in front of the server
    authenticates clients."""
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
    """Whether the server describes its services to clients that ask (gRPC reflection). Where callers need credentials,
    reflection does, too. auto turns it off if anybody on another machine could ask without any."""
    preset: Preset = "latency"
    """latency runs one inference at a time on all cores: the fastest answer to a single request. throughput runs one
    inference per core at the same time: more requests per second, for batches and many cameras. docs/performance.md
    compares them."""
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
        return _is_loopback(self.host)

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


class AccessConfig(_Section):
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
            if url.scheme == "http" and not _is_loopback(url.hostname or ""):
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


class ModelsConfig(_Section):
    """Models and how to run them. A model is the name of a packaged model, a file in models.folder, or a path."""

    objects: str = _MODELS.objects or NONE
    """YOLO object detector, or "none". Detected persons guide the search for faces. A YOLO model that detects faces
    with five landmarks also replaces models.faces."""
    faces: str = _MODELS.faces
    """Face detector: SCRFD with landmarks, or a YOLO model that detects faces with five landmarks."""
    embedding: str = _MODELS.embedding
    """InsightFace recognition model. Another model means another embedding contract: existing galleries can then not be
    searched."""
    folder: Path | None = None
    """Folder with additional models, as written by facet models fetch."""
    runtime: RuntimeName = "auto"
    """Inference engine: openvino or onnxruntime. auto selects OpenVINO on x86 processors, where it is faster, and ONNX
    Runtime on others or if models.providers is set."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Precision that OpenVINO computes in. bf16 takes effect if the processor supports it; the first and last layers
    stay in fp32. auto is bf16 for packaged models and fp32 for others. facet bench drift measures the difference
    between them. Set fp32 if you need exact boxes."""
    providers: tuple[str, ...] = (CPU_PROVIDER,)
    """ONNX Runtime execution providers in order of preference, for example CUDAExecutionProvider or
    CoreMLExecutionProvider. Each requires a build of onnxruntime that includes it. If one is missing or cannot start,
    the server does not start, or warns and runs on the CPU if CPUExecutionProvider is in the list."""


class PicturesConfig(_Section):
    """Limits on pictures."""

    max_pixels: int = Field(_PIPELINE.max_pixels, ge=1, le=1_000_000_000)
    """Maximum number of pixels in memory. The server reads the header and refuses larger pictures before it decodes
    them. A JPEG that is decoded at a reduced size may have four times as many."""
    scaled_decoding: bool = True
    """Decode large JPEGs at a half, a quarter or an eighth of their size to find faces and objects, and again with more
    pixels only if small faces need them."""


class DetectionConfig(_Section):
    """Detection of objects and faces."""

    object_size: int = Field(_PIPELINE.object_size, ge=32, le=4096)
    """Longer side of the object detector's input, pixels. Pictures are scaled to it."""
    person_max_enlargement: float = Field(_PIPELINE.person_max_enlargement, ge=1)
    """Applies if a request does not ask for objects, so that detected persons only guide the search for faces. A
    picture that object_size would enlarge by more than this factor is then detected at 3/4 or 1/2 of object_size."""
    object_min_score: float = Field(_PIPELINE.object_min_score, gt=0, lt=1)
    """Minimum score of a returned object."""
    max_faces: int = Field(_PIPELINE.max_faces, ge=1, le=10_000)
    """Maximum number of faces returned per picture, those with the highest scores."""
    face_min_score: float = Field(_FINDER.min_score, gt=0, lt=1)
    """Minimum score of a returned face."""
    face_min_height: float = Field(_FINDER.min_height, ge=1)
    """Minimum height of a returned face, pixels."""
    face_fine_side: int = Field(_FINDER.fine_side, ge=64, le=4096)
    """Longer side of the face detector's input, pixels. A larger value finds smaller faces and costs more time."""
    thorough_height: float = Field(_PIPELINE.thorough_height, ge=24, le=1000)
    """Height of the smallest face that a request with SEARCH_THOROUGH finds reliably, pixels. It is larger in a picture
    that would need more than 128 tiles."""
    second_look: bool = True
    """Search again, at higher resolution, in the head region of each person without a face, and, except in streams, in
    the quarters of a picture that show faces below 24 pixels of the first search's input."""


class EnrollmentConfig(_Section):
    """Minimum quality of a face to enrol, unless a request sets accept_low_quality, and limits on templates."""

    min_face_size: float = Field(_QUALITY.min_size, ge=0)
    """Minimum of the shorter side of the face box, pixels."""
    min_sharpness: float = Field(_QUALITY.min_sharpness, ge=0)
    """Minimum sharpness, [0, 1]: the share of its gradient that the face loses when it is blurred. Sharp faces have
    about 0.35, blurred ones 0.15."""
    max_turn: float = Field(_QUALITY.max_turn, ge=0, le=90)
    """Maximum yaw and pitch, degrees."""
    min_directional_sharpness: float = Field(_QUALITY.min_directional_sharpness, ge=0, le=1)
    """Minimum sharpness along the direction in which it is lowest, [0, 1], for faces of at least 70 pixels. Motion and
    camera shake blur one direction."""
    max_noise: float = Field(_QUALITY.max_noise, ge=0)
    """Maximum standard deviation of the noise, as a share of the contrast. Clean faces have about 0.004, faces at night
    and scanned prints 0.1."""
    min_brightness: float = Field(_QUALITY.min_brightness, ge=0, le=1)
    """Minimum mean luminance of a face, [0, 1]."""
    max_overexposure: float = Field(_QUALITY.max_overexposure, ge=0, le=1)
    """Maximum share of a face that is white, [0, 1]."""
    min_polarity: float = Field(_QUALITY.min_polarity, ge=-1, le=1)
    """Minimum difference of cheeks and nose to eyes and brows, as a share of the contrast, [-1, 1]. It is negative in
    photographic negatives. -1 turns the check off."""
    min_eye_detail: float = Field(_QUALITY.min_eye_detail, ge=0)
    """Minimum detail around each eye, as a share of that of the face. Uncovered eyes have about 1.4, eyes behind
    sunglasses 0.3, covered ones 0. 0 turns the check off."""
    min_mouth_detail: float = Field(_QUALITY.min_mouth_detail, ge=0)
    """Minimum detail around the mouth, as a share of that of the face. Uncovered mouths have about 1.4, mouths behind a
    mask 0.2. 0 turns the check off."""
    max_templates_per_subject: int = Field(100, ge=1, le=10_000)
    """Maximum number of templates per subject. Subjects of an imported gallery may have more."""
    min_subject_similarity: float = Field(MIN_SIMILARITY, ge=-1, le=1)
    """A face looks unlike a template of its subject below this similarity. It is refused (LOOKS_UNLIKE_SUBJECT) if the
    subject has at least two templates and it looks unlike all of them, unless a request sets accept_unlike. The default
    is for the packaged models.embedding; another one needs its own. -1 turns the check off."""
    keep_crops: bool = False
    """Store the aligned face with each template, as a PNG of 112 x 112 pixels (30 KB). With it, a gallery can move to
    another models.embedding without the original pictures. Off by default because it stores pictures of faces."""

    def limits(self) -> QualityLimits:
        """Return the limits as the recognizer takes them."""
        return QualityLimits(
            self.min_face_size,
            self.min_sharpness,
            self.max_turn,
            self.min_directional_sharpness,
            self.max_noise,
            self.min_brightness,
            self.max_overexposure,
            self.min_polarity,
            self.min_eye_detail,
            self.min_mouth_detail,
        )


class IdentificationConfig(_Section):
    """Minimum quality of a face to identify; others are returned with DECISION_REFUSED. Defaults accept every face."""

    min_face_size: float = Field(0.0, ge=0)
    """Minimum of the shorter side of the face box, pixels. Raise it if distant faces cause false matches."""
    min_sharpness: float = Field(0.0, ge=0, le=1)
    """Minimum sharpness, [0, 1]; see enrollment.min_sharpness. Raise it if blurred faces cause false matches."""
    max_turn: float = Field(90.0, ge=0, le=90)
    """Maximum yaw and pitch, degrees. Lower it if cameras see the same people often enough to wait for a frontal
    view."""

    def limits(self) -> QualityLimits:
        """Return the limits as the recognizer takes them."""
        return replace(NO_LIMITS, min_size=self.min_face_size, min_sharpness=self.min_sharpness, max_turn=self.max_turn)


class VerificationConfig(_Section):
    """Decision of the method Verify."""

    threshold: float = Field(0.28, ge=-1, le=1)
    """Minimum cosine similarity of two faces of the same person, for requests that set no threshold. docs/evaluation.md
    explains the default."""


class GalleryConfig(_Section):
    """Storage and default threshold of galleries."""

    database: Path = Path("facet.sqlite3")
    """SQLite file, created if missing. Only one server can open it at a time. With milvus_uri only its folder is
    used."""
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
    """Maximum number of exports at the same time, and likewise of imports and of calibrations; further ones are
    refused."""
    keep_erasures_days: int = Field(KEEP_ERASURES.days, ge=1, le=36500)
    """How many days the records of erasures are kept, which facet people erasure-report shows; three years by
    default."""
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
        if named and self.milvus_uri:
            raise ValueError(
                f"{named[0]} encrypts the SQLite database only: encrypt the disk of Milvus, and leave it out here"
            )
        return self

    @field_validator("milvus_token")
    @classmethod
    def _empty_is_none(cls, token: SecretStr | None) -> SecretStr | None:
        return token if token and token.get_secret_value() else None

    @field_validator("milvus_uri")
    @classmethod
    def _is_address(cls, uri: str) -> str:
        if "@" in uri:
            raise ValueError("must not contain a password, because it is printed: set milvus_token")
        if uri and not uri.startswith(("http://", "https://")) and not uri.endswith(".db"):
            raise ValueError("must start with http:// or https://, or be a path that ends in .db")
        return uri


class AuditConfig(_Section):
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


class LogConfig(_Section):
    """The server's log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of logged events."""
    format: Literal["console", "json"] = "console"
    """console for people, json for programs."""


class MetricsConfig(_Section):
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
        return _is_loopback(self.host)

    @field_validator("token")
    @classmethod
    def _is_usable(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and (problem := problem_of(token)):
            raise ValueError(problem)
        return token


class TracingConfig(_Section):
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

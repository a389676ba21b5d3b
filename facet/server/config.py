"""The server's configuration: one frozen tree, from a TOML file, then the environment, then flags."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from facet.client.channel import ADDRESS_VARIABLE, TOKEN_VARIABLE
from facet.runtime.inference_slots import Preset
from facet.runtime.session import CPU_PROVIDER
from facet.runtime.sessions import RuntimeName
from recognizer.finder import FinderSettings
from recognizer.quality import QualityLimits

ENV_PREFIX = "FACET_"
NONE = "none"
_OF_CLIENTS = (ADDRESS_VARIABLE, TOKEN_VARIABLE)

_FINDER = FinderSettings()
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
    """Where the server listens, and how much it takes on."""

    host: str = "127.0.0.1"
    """Address to listen on. Any but a loopback address needs a token, or allow_unauthenticated."""
    port: int = Field(50051, ge=0, le=65535)
    """Port to listen on; 0 lets the system choose."""
    token: SecretStr | None = None
    """Bearer token that every call but health checks must bring. Best given as FACET_SERVER__TOKEN."""
    allow_unauthenticated: bool = False
    """Listen beyond loopback without a token."""
    tls_certificate: Path | None = None
    """PEM file of the certificate chain; needs tls_key."""
    tls_key: Path | None = None
    """PEM file of the private key; needs tls_certificate."""
    preset: Preset = "latency"
    """latency: all cores on one inference after the other, so that a single request is answered soonest. throughput:
    one core for each of as many inferences side by side, for batches and many cameras. docs/performance.md has both in
    figures."""
    workers: int = Field(0, ge=0, le=256)
    """Requests worked on side by side, each on one thread; 0 is one for every core this process may use."""
    max_queue: int = Field(32, ge=0, le=4096)
    """Requests that may wait for a worker; one more is refused, unless it is served before some of them."""
    max_message_bytes: int = Field(16 * 2**20, ge=2**16, le=2**30)
    """Bytes of a request."""
    max_concurrent_calls: int = Field(64, ge=1)
    """Calls open at the same time; one more is refused. Each may hold a message of max_message_bytes, an EnrollBatch or
    IdentifyBatch twice as many as there are workers, and one; an IdentifyStream three."""
    stall_seconds: float = Field(60.0, gt=0)
    """How long a stream waits for its client: to take the next piece or answer, or to send the next piece, item
    or frame while nothing else is under way on it."""
    drain_seconds: float = Field(20.0, ge=0)
    """After SIGTERM, how long accepted calls may take to finish."""

    @field_validator("token")
    @classmethod
    def _empty_is_none(cls, token: SecretStr | None) -> SecretStr | None:
        return token if token and token.get_secret_value() else None

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.token and not (self.token.get_secret_value().isascii() and self.token.get_secret_value().isprintable()):
            raise ValueError("token must be printable ASCII: gRPC metadata carries nothing else")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key need each other")
        if not (self.token or self.allow_unauthenticated or _is_loopback(self.host)):
            raise ValueError(
                f"{self.host} can be reached from other machines: set token (and tls_certificate), "
                "or allow_unauthenticated if something in front of the server keeps strangers out"
            )
        return self


class ModelsConfig(_Section):
    """Which models. A name is a packaged one, a file in the folder, or a path."""

    objects: str = "yolo11n"
    """YOLO model that finds objects; persons among them guide the search for faces. "none" for none. A YOLO model
    of faces with five landmarks takes the place of the faces model as well."""
    faces: str = "scrfd_500m_bnkps"
    """SCRFD with landmarks, or a YOLO model of faces with five landmarks."""
    embedding: str = "w600k_mbf"
    """InsightFace recogniser. Another one is another embedding contract: galleries made before are refused."""
    folder: Path | None = None
    """Folder of models, as scripts/fetch_models.py writes it."""
    runtime: RuntimeName = "auto"
    """What runs the models: openvino or onnxruntime. auto is OpenVINO on x86 processors, where it is faster, and ONNX
    Runtime elsewhere and where providers says more than the default."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of OpenVINO. bf16 where the processor computes in it, but for the first and last layers; fp32 otherwise. auto is
    bf16 for the packaged models, of which scripts/bench.py drift tells how far that is from fp32; fp32 for others."""
    providers: tuple[str, ...] = (CPU_PROVIDER,)
    """ONNX Runtime execution providers, in order of preference, such as CUDAExecutionProvider or
    CoreMLExecutionProvider; they come with other builds of onnxruntime."""


class PicturesConfig(_Section):
    """What is taken as a picture."""

    max_pixels: int = Field(50_000_000, ge=1, le=1_000_000_000)
    """Pixels of a picture, checked on its header before it is decoded."""


class DetectionConfig(_Section):
    """How objects and faces are looked for."""

    object_size: int = Field(640, ge=32, le=4096)
    """Longer side that a picture is scaled to for the object detector, pixels."""
    person_max_enlargement: float = Field(1.25, ge=1)
    """Where objects are not asked for, they are looked for because persons guide the search for faces. A picture that
    object_size would enlarge by more than this is then scaled to three quarters or half of object_size."""
    object_min_score: float = Field(0.25, gt=0, lt=1)
    """Objects below this score are not answered."""
    max_faces: int = Field(200, ge=1, le=10_000)
    """Faces answered of one picture, the highest scores first."""
    face_min_score: float = Field(_FINDER.min_score, gt=0, lt=1)
    """Faces below this score are not answered."""
    face_min_height: float = Field(_FINDER.min_height, ge=1)
    """Faces lower than this are not answered, pixels."""
    face_fine_side: int = Field(_FINDER.fine_side, ge=64, le=4096)
    """Longest side of the frame in which faces are looked for first, pixels. More finds smaller faces."""
    second_look: bool = True
    """Look again, closer, inside persons that showed no face."""


class EnrollmentConfig(_Section):
    """What a face must be like to be enrolled without being insisted upon."""

    min_face_size: float = Field(_QUALITY.min_size, ge=0)
    """Shorter side of the face box, pixels."""
    min_sharpness: float = Field(_QUALITY.min_sharpness, ge=0)
    """See Quality.sharpness."""
    max_turn: float = Field(_QUALITY.max_turn, ge=0, le=90)
    """Turn to the side or tilt, degrees."""
    max_templates_per_subject: int = Field(100, ge=1, le=10_000)
    """Templates of one subject. A gallery that is imported may hold subjects with more."""
    keep_crops: bool = False
    """Keep the aligned face, 112 x 112 pixels as PNG, beside each template. Off, because it is a picture of a face and
    30 KB a template; on, a gallery can be embedded anew when models.embedding changes, without the pictures."""

    def limits(self) -> QualityLimits:
        """What a face must reach."""
        return QualityLimits(self.min_face_size, self.min_sharpness, self.max_turn)


class IdentificationConfig(_Section):
    """What a face must be like to be searched for; another is answered as refused, unembedded. Defaults refuse none."""

    min_face_size: float = Field(0.0, ge=0)
    """Shorter side of the face box, pixels. Raise it where false matches with faces far away cost more than misses."""
    min_sharpness: float = Field(0.0, ge=0, le=1)
    """See Quality.sharpness. Raise it where a camera shakes or is out of focus, and blurred faces match wrongly."""
    max_turn: float = Field(90.0, ge=0, le=90)
    """Turn to the side or tilt, degrees. Lower it where people are seen again and again, and will look up."""

    def limits(self) -> QualityLimits:
        """What a face must reach."""
        return QualityLimits(self.min_face_size, self.min_sharpness, self.max_turn)


class VerificationConfig(_Section):
    """How Verify decides between two pictures."""

    threshold: float = Field(0.28, ge=-1, le=1)
    """Similarity from which two faces are of one person, where the request does not say. Where the default comes
    from: docs/evaluation.md."""


class GalleryConfig(_Section):
    """Where galleries are kept, and how they decide."""

    database: Path = Path("facet.sqlite3")
    """SQLite file; made where it is missing. One server at a time. With milvus_uri only its folder counts."""
    check_at_start: bool = False
    """Read all of the database before serving, and refuse it where it is damaged."""
    default_threshold: float = Field(0.34, ge=-1, le=1)
    """Similarity from which a probe is a match, in galleries that are created without their own. Where the
    default comes from: docs/evaluation.md."""
    max_import_bytes: int = Field(16 * 2**30, ge=2**20)
    """Bytes of a file for ImportGallery; it is received beside the database, which then grows by about as much."""
    max_transfers: int = Field(2, ge=1, le=16)
    """Exports under way at the same time, as many imports, and as many calibrations; one more is refused."""
    milvus_uri: str = ""
    """Keep galleries in this Milvus, such as http://milvus:19530, which many servers may share; empty for SQLite. Needs
    the extra milvus; see docs/scale.md. A file that ends in .db is opened by Milvus Lite, for one server, to try it."""
    milvus_token: SecretStr | None = None
    """user:password, or an API key. Best given as FACET_GALLERY__MILVUS_TOKEN."""
    milvus_prefix: str = Field("facet", pattern="^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    """What the names of the collections begin with: servers of one prefix share their galleries."""
    milvus_index: Literal["FLAT", "HNSW"] = "FLAT"
    """Index of templates that Milvus makes for an embedding contract it has none of yet. FLAT is exact."""
    milvus_consistency: Literal["session", "strong"] = "session"
    """What a search sees: session, all that this server wrote, and what others wrote a fraction of a second later;
    strong, all that anybody wrote, for which every search waits."""
    milvus_timeout_seconds: float = Field(10.0, gt=0, le=600)
    """How long a call of Milvus may take."""

    @field_validator("milvus_token")
    @classmethod
    def _empty_is_none(cls, token: SecretStr | None) -> SecretStr | None:
        return token if token and token.get_secret_value() else None

    @field_validator("milvus_uri")
    @classmethod
    def _an_address(cls, uri: str) -> str:
        if "@" in uri:
            raise ValueError("must not hold a password, which would be printed: set milvus_token")
        if uri and not uri.startswith(("http://", "https://")) and not uri.endswith(".db"):
            raise ValueError("must begin with http:// or https://, or be a file that ends in .db")
        return uri


class LogConfig(_Section):
    """What the server says about itself, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines to write."""
    format: Literal["console", "json"] = "console"
    """Lines for people or for programs."""


class MetricsConfig(_Section):
    """What the server tells of how fast it is; see docs/operations.md."""

    port: int | None = Field(None, ge=0, le=65535)
    """Serve Prometheus' metrics over HTTP on this port; 0 lets the system choose. Without it they are not served."""
    host: str = "127.0.0.1"
    """Address to serve them on. Whoever reaches it may read them, the ids of galleries among them: there is no token,
    and no TLS."""
    slow_ms: float = Field(1000.0, ge=0)
    """A request that takes this long or longer has its line in the log as a warning, with its stages; milliseconds."""


class TracingConfig(_Section):
    """Where traces of requests go. Needs the extra tracing; see docs/operations.md."""

    endpoint: str = ""
    """OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; empty for nowhere."""
    ratio: float = Field(1.0, ge=0, le=1)
    """Share of the requests that are traced, of those that belong to no trace of the client's; one of these is traced
    where the client's is."""

    @field_validator("endpoint")
    @classmethod
    def _an_address(cls, endpoint: str) -> str:
        if "@" in endpoint:
            raise ValueError("must not hold a password, which would be printed: set OTEL_EXPORTER_OTLP_HEADERS")
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return endpoint


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
    models: ModelsConfig = ModelsConfig()
    pictures: PicturesConfig = PicturesConfig()
    detection: DetectionConfig = DetectionConfig()
    enrollment: EnrollmentConfig = EnrollmentConfig()
    identification: IdentificationConfig = IdentificationConfig()
    verification: VerificationConfig = VerificationConfig()
    gallery: GalleryConfig = GalleryConfig()
    log: LogConfig = LogConfig()
    metrics: MetricsConfig = MetricsConfig()
    tracing: TracingConfig = TracingConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the name is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The first wins: what is given in code (flags come first of all), the environment, the file."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=cls.model_config.get("toml_file"))
        return init_settings, env_settings, file


class ConfigError(Exception):
    """The configuration cannot be used; the message names every field that is wrong."""


def load(arguments: Sequence[str] = (), *, file: Path | None = None) -> Config:
    """Load the configuration.

    Args:
        arguments: flags, such as ``["--server.port", "50052"]``.
        file: a TOML file with the sections of :class:`Config`.

    Raises:
        ConfigError: a value, a field, a flag or the file is wrong.
        SystemExit: the arguments ask for help, or are not flags (code 2).
    """
    if file is not None and not file.is_file():
        raise ConfigError(f"there is no configuration file {file}")
    known = {f"{ENV_PREFIX}{section}".upper() for section in Config.model_fields}
    ours = [name for name in os.environ if name.startswith(ENV_PREFIX) and name not in _OF_CLIENTS]
    strange = [name for name in ours if name.split("__")[0].upper() not in known]
    if strange:
        raise ConfigError(f"no such setting: {', '.join(sorted(strange))}")

    class FileConfig(Config):
        __doc__ = Config.__doc__
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return FileConfig(_cli_parse_args=list(arguments))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    except SettingsError as error:
        raise ConfigError(str(error)) from error
    except ValueError as error:
        raise ConfigError(_explain(error)) from error


def dump(config: Config) -> dict[str, Any]:
    """The configuration as plain values, secrets masked."""
    plain: dict[str, Any] = config.model_dump(mode="json")
    return plain


def _explain(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    return "\n".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}"
        for each in errors(include_input=False)
    )

"""ServerService: what is running here."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from datetime import UTC, datetime

import cv2

from facet.v1 import server_service_pb2 as pb
from facet.v1.server_service_pb2_grpc import ServerServiceServicer
from service.config import Config, dump
from service.convert import timestamp
from service.engine import Engine
from service.recognition import Context

_SECTIONS = ("detection", "enrollment", "identification", "pictures", "verification")
"""Of the configuration, those that bear on the answers."""
_LIBRARIES = ("grpcio", "insightface", "numpy", "onnxruntime", "protobuf")


def version() -> str:
    """Facet's version."""
    return importlib.metadata.version("facet")


class ServerServicer(ServerServiceServicer):
    """Answers what is running."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self._response = pb.GetServerInfoResponse(
            version=version(),
            start_time=timestamp(datetime.now(UTC)),
            models=[
                pb.ModelInfo(
                    role=model.role,
                    name=model.file.path.name,
                    sha256=model.file.sha256,
                    size=model.file.size,
                    license=model.file.license,
                    source=model.file.source,
                    head=model.head,
                )
                for model in engine.models
            ],
            contract=engine.contract,
            embedding_dimension=engine.dimension,
            default_threshold=config.gallery.default_threshold,
            verification_threshold=config.verification.threshold,
            limits=pb.Limits(
                max_message_bytes=config.server.max_message_bytes,
                max_pixels=config.pictures.max_pixels,
                max_faces=config.detection.max_faces,
                max_templates_per_subject=config.enrollment.max_templates_per_subject,
                max_queue=config.server.max_queue,
            ),
            runtime={
                "python": platform.python_version(),
                "opencv": cv2.__version__,
                "machine": platform.machine(),
            }
            | {name: importlib.metadata.version(name) for name in _LIBRARIES},
            class_names=engine.class_names,
            face_min_score=engine.face_min_score,
            object_min_score=engine.object_min_score,
            settings=_settings(config),
        )

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: Context) -> pb.GetServerInfoResponse:
        """See the proto."""
        return self._response


def _settings(config: Config) -> dict[str, str]:
    values = dump(config)
    chosen = {f"{section}.{name}": value for section in _SECTIONS for name, value in values[section].items()}
    chosen["models.providers"] = values["models"]["providers"]
    chosen["gallery.default_threshold"] = values["gallery"]["default_threshold"]
    return {name: json.dumps(value) for name, value in sorted(chosen.items())}

"""ServerService: version, models, limits and latencies of the server, and its audit log."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from contextlib import suppress
from datetime import UTC, datetime

import cv2

from facet import __version__
from facet.runtime.models import ModelFile
from facet.runtime.pictures import FORMATS
from facet.server.access import identity
from facet.server.access.identity import SCOPES, Identity
from facet.server.config import Config, dump
from facet.server.monitoring.drift_watch import DriftWatch
from facet.server.observability.latencies import Latency, Percentiles
from facet.server.observability.stopwatch import STAGES
from facet.server.observability.telemetry import Telemetry
from facet.server.scheduling.workers import Workers
from facet.server.services.audit import AuditEntries
from facet.server.services.pictures import Context
from facet.server.wire.terms import timestamp
from facet.v1 import server_service_pb2 as pb
from facet.v1.server_service_pb2_grpc import ServerServiceServicer
from gallery.times import now
from recognizer.pipeline import FacePipeline

_SECTIONS = ("detection", "enrollment", "identification", "pictures", "verification")
"""Sections of the configuration that affect answers."""
_MAX_GALLERIES = 100
_LIBRARIES = ("grpcio", "numpy", "onnxruntime", "openvino", "protobuf")


class ServerServicer(ServerServiceServicer):
    """Implements ServerService.

    Args:
        config: the server's configuration.
        pipeline: the models.
        workers: the threads that run them.
        telemetry: latencies and error counts.
        audit_entries: reads the audit log.
        drift: how the faces of galleries compare with their reference periods.
    """

    def __init__(
        self,
        config: Config,
        pipeline: FacePipeline,
        workers: Workers,
        telemetry: Telemetry,
        audit_entries: AuditEntries,
        drift: DriftWatch,
    ) -> None:
        self._audit_entries = audit_entries
        self._drift = drift
        self._workers = workers
        self._telemetry = telemetry
        self._constant = pb.GetServerInfoResponse(
            version=__version__,
            start_time=timestamp(now()),
            models=[
                pb.ModelInfo(
                    role=model.role,
                    name=model.file.path.name,
                    sha256=model.file.sha256,
                    size=model.file.size,
                    license=model.file.license,
                    source=source_of(model.file),
                    head=model.head,
                    runtime=model.runtime,
                )
                for model in pipeline.models
            ],
            contract=pipeline.contract,
            embedding_dimension=pipeline.dimension,
            embedding_models=[
                pb.EmbeddingModel(
                    contract=model.contract, dimension=model.dimension, name=model.name, sha256=model.sha256
                )
                for model in pipeline.embedding_models.values()
            ],
            embedding_next_problem=pipeline.next_problem,
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
            | _versions(),
            class_names=pipeline.class_names,
            face_min_score=pipeline.face_min_score,
            object_min_score=pipeline.object_min_score,
            settings=_settings(config),
            picture_formats=FORMATS,
        )

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: Context) -> pb.GetServerInfoResponse:
        """See the proto."""
        response = pb.GetServerInfoResponse()
        response.CopyFrom(self._constant)
        stages, methods = self._telemetry.stages.all(), self._telemetry.methods.all()
        response.stage_latencies.extend(
            pb.StageLatency(stage=stage, **_percentiles(stages[stage])) for stage in STAGES if stage in stages
        )
        response.method_latencies.extend(
            pb.MethodLatency(method=method, **_percentiles(latency)) for method, latency in sorted(methods.items())
        )
        response.errors.extend(
            pb.ErrorCount(
                code=code,
                reason=reason,
                since_start=latency.since_start.count,
                last_minute=latency.last_minute.count,
            )
            for (code, reason), latency in sorted(self._telemetry.errors.all().items())
        )
        response.open_streams.update(+self._telemetry.open_streams)
        response.caller.CopyFrom(_caller(identity.current()))
        response.gallery_health.extend(_health(self._drift, identity.current()))
        response.queue.waiting = sum(self._workers.waiting.values())
        response.queue.max_waiting = self._workers.max_queue
        response.queue.busy = self._workers.busy
        response.queue.workers = self._workers.threads
        return response

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        """See the proto."""
        return await self._audit_entries.list(request)


def _health(drift: DriftWatch, caller: Identity) -> list[pb.GalleryHealth]:
    if not caller.has("admin"):
        return []
    found: list[pb.GalleryHealth] = []
    for gallery_id, sources in drift.states().items():
        if not caller.galleries.allows(gallery_id) or len(found) >= _MAX_GALLERIES:
            continue
        changed = {source: state for source, state in sources.items() if state.since is not None}
        health = pb.GalleryHealth(
            gallery_id=gallery_id,
            sources=len(sources),
            changed_sources=sorted(changed),
            changed_quantities=sorted({shift.name for state in changed.values() for shift in state.drift.moved}),
        )
        if since := [state.since for state in changed.values() if state.since is not None]:
            health.changed_since.CopyFrom(timestamp(min(since)))
        found.append(health)
    return found


def source_of(file: ModelFile) -> str:
    """Where a model comes from; only the name of a file whose origin is not known, because callers learn no paths."""
    return file.path.name if file.source == str(file.path) else file.source


def _caller(caller: Identity) -> pb.CallerInfo:
    scopes = [scope for scope in SCOPES if scope in caller.scopes]
    info = pb.CallerInfo(id=caller.id, label=caller.label, scopes=scopes, galleries=caller.galleries.patterns)
    if caller.expires is not None:
        info.expire_time.CopyFrom(timestamp(datetime.fromtimestamp(caller.expires, UTC)))
    return info


def _percentiles(latency: Latency) -> dict[str, pb.Percentiles]:
    return {"since_start": _milliseconds(latency.since_start), "last_minute": _milliseconds(latency.last_minute)}


def _milliseconds(of: Percentiles) -> pb.Percentiles:
    return pb.Percentiles(count=of.count, p50_ms=of.p50 * 1e3, p95_ms=of.p95 * 1e3, p99_ms=of.p99 * 1e3)


def _versions() -> dict[str, str]:
    """Versions of the installed libraries; OpenVINO is optional."""
    found = {}
    for name in _LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _settings(config: Config) -> dict[str, str]:
    values = dump(config)
    chosen = {f"{section}.{name}": value for section in _SECTIONS for name, value in values[section].items()}
    chosen |= {f"models.{name}": values["models"][name] for name in ("precision", "providers", "runtime")}
    chosen["server.preset"] = values["server"]["preset"]
    chosen["gallery.default_threshold"] = values["gallery"]["default_threshold"]
    return {name: json.dumps(value) for name, value in sorted(chosen.items())}

"""Assembles the server, starts it and stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from facet.runtime.cores import usable_cores
from facet.runtime.inference.slots import Preset
from facet.server.access.access import Access
from facet.server.access.exposure import check_exposure
from facet.server.access.limits import CallerLimits
from facet.server.access.token import log_access
from facet.server.audit.metrics import AuditMetrics
from facet.server.audit.opening import note_start, note_stop, open_trail
from facet.server.audit.protocol import Audit, NoAudit
from facet.server.background import started_pool
from facet.server.calls.calls import Calls
from facet.server.calls.interceptor import CallInterceptor
from facet.server.config import Config
from facet.server.connections.connections import Connections
from facet.server.decoders import PictureDecoders
from facet.server.erasures import ErasureWatch
from facet.server.expired import ExpiredEraser
from facet.server.gauges import Gauges
from facet.server.migrations.crop_embedding import CropEmbedder
from facet.server.migrations.worker import MigrationWorker
from facet.server.model_names import model_names, warn_of_unserved
from facet.server.models import load_pipeline
from facet.server.monitoring.assessments import Assessments
from facet.server.monitoring.drift_watch import DriftWatch
from facet.server.monitoring.error_estimates import ErrorEstimates
from facet.server.monitoring.recorder import Recorder
from facet.server.monitoring.writer import ObservationWriter
from facet.server.observability.metrics_port import MetricsPort
from facet.server.observability.readiness import Phase, Readiness
from facet.server.observability.telemetry import Telemetry
from facet.server.observability.tracing import Tracing
from facet.server.outcomes.answer_ids import AnswerIds
from facet.server.outcomes.reporting import Outcomes
from facet.server.port import call_options, connection_options, listen, says_where_metrics_are
from facet.server.scheduling.workers import Workers
from facet.server.services.audit import AuditEntries
from facet.server.services.calibration import Calibrations
from facet.server.services.duplicates import DuplicateSearches
from facet.server.services.enrollment import Enrollments
from facet.server.services.galleries import GalleryServicer
from facet.server.services.migrations.shadow import ShadowReports
from facet.server.services.recognition import RecognitionServicer
from facet.server.services.server_info import ServerServicer
from facet.server.services.transfer.transfers import Transfers
from facet.server.shadow.shadow import Shadow
from facet.server.stores import open_store
from facet.server.streaming.batches import Batches
from facet.server.streaming.streams import Streams
from facet.server.tls.certificates import Expiry, certificates_of
from facet.server.tls.clients import Clients, peer_names
from facet.v1 import gallery_service_pb2, recognition_service_pb2, server_service_pb2
from facet.v1.gallery_service_pb2_grpc import add_GalleryServiceServicer_to_server
from facet.v1.recognition_service_pb2_grpc import add_RecognitionServiceServicer_to_server
from facet.v1.server_service_pb2_grpc import add_ServerServiceServicer_to_server
from gallery.galleries import Galleries
from gallery.times import Clock, RisingClock, now
from recognizer.pipeline import FacePipeline

_log = structlog.get_logger("facet.server")
_store_log = structlog.get_logger("facet.gallery")

_SERVICES = (
    recognition_service_pb2.DESCRIPTOR.services_by_name["RecognitionService"].full_name,
    gallery_service_pb2.DESCRIPTOR.services_by_name["GalleryService"].full_name,
    server_service_pb2.DESCRIPTOR.services_by_name["ServerService"].full_name,
)

_FLUSH_SECONDS = 0.5
_CONTENTION: Mapping[Preset, float] = {"latency": 0.8, "throughput": 0.2}
"""How much requests side by side slow each other down, measured on two cores; the workers learn the machine's own."""


class Server:
    """A Facet server in this process.

    Args:
        config: the configuration.
        pipeline: the models; by default those of the configuration are loaded, and pictures are decoded in processes
            of their own.
        clock: tells which people and templates have expired.

    Raises:
        ModelError: a model is missing, damaged or unsupported.
        StorageError: the database cannot be opened, or Milvus or PostgreSQL does not respond.
        AuditError: the audit log cannot be written, or its key is missing or another one.
        TracingUnavailable: tracing is configured, but its packages are not installed.
        BindError: certificate and key are no pair, there is no client CA in its file, or one of them is not valid now.
        OSError: certificate, key or client CA cannot be read.
        Exposed: other machines reach the server, and it has no callers or no TLS.
        CallersFileError: the callers file cannot be used.
        KeysUnavailable: the file with the keys of the identity provider cannot be used.
    """

    def __init__(self, config: Config, pipeline: FacePipeline | None = None, clock: Clock = now) -> None:
        self._config = config
        self._access = Access(
            config.server.token,
            config.callers_file,
            peer_names,
            config.access.provider,
            needs_file=config.access.callers is not None,
        )
        check_exposure(
            config.server.host,
            config.callers_file,
            is_loopback=config.server.is_loopback,
            has_callers=not self._access.asks_nobody,
            has_tls=config.server.tls_certificate is not None,
            may_lack_callers=config.server.allow_unauthenticated,
            insecure=config.server.insecure,
        )
        self._certificates = certificates_of(config.server)
        self._decoders = PictureDecoders(config.server) if pipeline is None else None
        self.pipeline = pipeline or self._load_pipeline()
        self._audit = open_trail(config)
        rising = RisingClock(clock)
        self._galleries = Galleries(
            open_store(config.gallery, rising),
            contract=self.pipeline.contract,
            dimension=self.pipeline.dimension,
            max_templates_per_subject=config.enrollment.max_templates_per_subject,
            min_subject_similarity=config.enrollment.min_subject_similarity,
            search_threads=usable_cores(),
            default_threshold=config.gallery.default_threshold,
            undo_for=timedelta(days=config.gallery.undo_days),
            clock=rising,
            further={model.contract: model.dimension for model in self.pipeline.embedding_models.values()},
            log=_store_log,
            snapshot_dir=config.gallery.snapshot_dir,
        )
        self._galleries.name_models(model_names(config, self.pipeline))
        warn_of_unserved(self._galleries)
        self._shadow = Shadow(self.pipeline, self._galleries, keep_crops=config.enrollment.keep_crops)
        self._erasures = ErasureWatch(self._galleries.erasures, self._audit or NoAudit())
        self._expired = ExpiredEraser(
            self._galleries, config.gallery.erase_expired_seconds, self._audit or NoAudit(), rising
        )
        self._migrations = MigrationWorker(self._galleries, self.pipeline.next_problem)
        self._recorder = Recorder(is_on=config.monitoring.record, clock=rising)
        self._observations = ObservationWriter(self._recorder, self._galleries.observations, config.monitoring, rising)
        days, share = config.outcomes.days, config.outcomes.review_share
        self._answer_ids = AnswerIds(self._galleries, days=days, review_share=share)
        self._drift = DriftWatch(self._galleries)
        self._estimates = ErrorEstimates(self._galleries)
        self._observations.on_taken.append(self._drift.see)
        self._galleries.migrations.on_switched.append(partial(self._drift.forget, source=""))
        self._health = health.aio.HealthServicer()
        self._tracing = Tracing(config.tracing) if config.tracing.endpoint else None
        self._telemetry = Telemetry(self.pipeline.models, self._tracing)
        self._telemetry.metrics.registry.register(self._access)
        self._clients = Clients(self._certificates)
        limits = CallerLimits(
            config.access.calls_per_second, config.access.concurrent_calls, self._telemetry.metrics.limited
        )
        slow_seconds = config.metrics.slow_ms / 1e3
        self._calls = Calls(
            config.server,
            self._access,
            limits,
            self._telemetry,
            slow_seconds=slow_seconds,
            clients=self._clients,
            audit=self._audit,
        )
        self._connections = Connections(config.server, self._telemetry.metrics.registry)
        if self._decoders is not None:
            self._decoders.register(self._telemetry.metrics.registry)
        self._server: grpc.aio.Server | None = None
        self._workers: Workers | None = None
        self._batches: Batches | None = None
        self._streams: Streams | None = None
        self._gauges: Gauges | None = None
        self._metrics: MetricsPort | None = None
        self._readiness = Readiness(self._galleries.check_store, searches_alone=self._galleries.follower is not None)

    @property
    def metrics_address(self) -> str:
        """Address and port that serve metrics to Prometheus; empty if they are not served."""
        return self._metrics.address if self._metrics else ""

    async def start(self) -> str:
        """Start serving and return the address with the actual port.

        Raises:
            BindError: the address is in use or is not one of this machine.
        """
        config = self._config.server
        loop = asyncio.get_running_loop()
        # Enrolments wait for each other and for a remote store. Each call has its own thread, so others do not wait.
        loop.set_default_executor(started_pool(config.max_concurrent_calls, "call"))
        self._calls.tasks.install(loop)
        self._connections.gate.install(loop)
        self._workers = Workers(
            config.workers or usable_cores(), config.max_queue, contention=_CONTENTION[config.preset]
        )
        self._server = grpc.aio.server(
            interceptors=[self._connections.interceptor, CallInterceptor(self._calls, self._telemetry)],
            options=[*call_options(config), *connection_options(config, self._connections.room)],
        )
        # Twice the number of workers, so that the next item is ready when a worker becomes free.
        self._batches = Batches(places=2 * self._workers.threads, stall_seconds=config.stall_seconds)
        self._streams = Streams(
            self.pipeline,
            self._workers,
            self._galleries,
            self._recorder,
            self._answer_ids,
            stall_seconds=config.stall_seconds,
        )
        self._add_services(self._server, self._workers, self._batches, self._streams)
        self._open_metrics(self._workers)
        self._shadow.start(self._workers)
        audit: Audit = self._audit or NoAudit()
        self._access.start(lambda changes: audit.note("callers_changed", "", "", **changes))
        self._expired.start()
        self._migrations.start(CropEmbedder(self.pipeline, self._workers, loop))
        self._observations.start()
        credentials = self._certificates.credentials() if self._certificates is not None else None
        address = listen(self._server, config, credentials)
        self._connections.watch(address)
        await self._server.start()
        for name in ("", *_SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        if self._certificates is not None:
            self._certificates.start(self._clients.review)
        self._readiness.phase = Phase.SERVING
        if self._audit is not None:
            note_start(self._audit, self._config)
        elif not config.is_loopback:
            _log.info("no audit log", hint="set audit.folder, see docs/security.md")
        log_access(
            config.token,
            is_open=self._access.asks_nobody,
            is_loopback=config.is_loopback,
            has_client_ca=config.tls_client_ca is not None,
        )
        _log.info("serving", address=address, workers=self._workers.threads)
        return address

    async def stop(self) -> None:
        """Report NOT_SERVING, send clients elsewhere, finish accepted calls, then stop and close the database."""
        if self._server and self._workers and self._batches and self._streams:
            self._readiness.phase = Phase.DRAINING
            await self._health.enter_graceful_shutdown()
            _log.info("draining", seconds=self._config.server.drain_seconds)
            self._batches.drain()
            self._streams.drain()
            # Clients hear at once that they are to connect elsewhere, and gRPC takes no further calls.
            ending = asyncio.create_task(self._server.stop(self._config.server.drain_seconds + _FLUSH_SECONDS))
            await self._calls.drain(self._config.server.drain_seconds)
            # Still open: health watches, which never end, and responses being sent.
            await self._server.stop(_FLUSH_SECONDS)
            await ending
            await self._shadow.stop()
            await asyncio.to_thread(self._migrations.close)
            await asyncio.to_thread(self._workers.close)
            await self._readiness.stop()
            await self._access.stop()
            if self._certificates is not None:
                await self._certificates.stop()
            if self._audit is not None:
                note_stop(self._audit)
        for part in (
            self._connections,
            self._metrics,
            self._gauges,
            self._expired,
            self._observations,
            self._galleries,
            self._access,
            self._audit,
            self._tracing,
            self._decoders,
        ):
            if part is not None:
                await asyncio.to_thread(part.close)
        _log.info("stopped")

    def _load_pipeline(self) -> FacePipeline:
        """Load the models while the decoders start."""
        if self._decoders is None:
            return load_pipeline(self._config)
        try:
            return load_pipeline(self._config, self._decoders.decode)
        except BaseException:
            self._decoders.close()
            raise

    def _open_metrics(self, workers: Workers) -> None:
        config = self._config.metrics
        if config.port is None:
            return
        self._gauges = Gauges(workers, self._calls, self._galleries)
        registry = self._telemetry.metrics.registry
        registry.register(self._gauges)
        registry.register(self._readiness)
        registry.register(self._expired)
        registry.register(self._migrations)
        registry.register(self._erasures)
        registry.register(self._shadow)
        registry.register(self._observations)
        registry.register(self._drift)
        registry.register(self._estimates)
        self._observations.on_taken.append(self._estimates.see)
        registry.register(Expiry(self._certificates))
        registry.register(AuditMetrics(self._audit))
        self._readiness.start()
        with says_where_metrics_are(config):
            self._metrics = MetricsPort(registry, self._readiness, config.host, config.port, config.token)
        _log.info("metrics", address=self._metrics.address)

    def _add_services(self, server: grpc.aio.Server, workers: Workers, batches: Batches, streams: Streams) -> None:
        config, pipeline, galleries = self._config, self.pipeline, self._galleries
        limits, max_transfers = config.identification.limits(), config.gallery.max_transfers
        answer_ids = self._answer_ids
        outcomes = Outcomes(galleries, answer_ids, most=config.outcomes.max_per_gallery)
        recognition = RecognitionServicer(
            pipeline,
            workers,
            galleries,
            batches,
            streams,
            self._recorder,
            self._shadow,
            limits,
            config.verification.threshold,
            answer_ids,
            outcomes,
        )
        add_RecognitionServiceServicer_to_server(recognition, server)
        transfers = Transfers(
            galleries,
            folder=config.gallery.database.resolve().parent,
            max_import_bytes=config.gallery.max_import_bytes,
            max_concurrent=max_transfers,
        )
        calibrations = Calibrations(pipeline, workers, galleries, limits, max_concurrent=max_transfers)
        assessments = Assessments(galleries, self._observations.write, self._drift.forget)
        duplicates = DuplicateSearches(galleries, max_concurrent=max_transfers)
        enrollments = Enrollments(pipeline, workers, galleries, config.enrollment)
        gallery = GalleryServicer(
            pipeline,
            workers,
            galleries,
            transfers,
            calibrations,
            duplicates,
            assessments,
            batches,
            enrollments,
            answer_ids,
            outcomes,
            ShadowReports(self._shadow, galleries),
            self._migrations,
        )
        add_GalleryServiceServicer_to_server(gallery, server)
        about = ServerServicer(config, pipeline, workers, self._telemetry, AuditEntries(self._audit), self._drift)
        add_ServerServiceServicer_to_server(about, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if config.server.reflects(has_callers=not self._access.asks_nobody):
            names = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)

"""Calibrates thresholds: searches for nonmated probes, then chooses a threshold from the similarities."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from facet.runtime.pictures import PictureError
from facet.server.access import limits, share
from facet.server.background import on_a_thread
from facet.server.calls.messages import current_pace, hold
from facet.server.errors import CalibrationUnderWay, InvalidField
from facet.server.observability import telemetry
from facet.server.scheduling.work import Work
from facet.server.scheduling.workers import Workers
from facet.server.services.pictures import analyze_and_align, only_face
from facet.server.services.transfer_places import TransferPlaces
from facet.server.wire import convert, validate
from facet.server.wire.errors import field_at_fault
from facet.v1 import gallery_service_pb2 as pb
from gallery.calibration.nonmated_searches import Evidence, NonmatedSearch, empty_search
from gallery.calibration.thresholds import MAX_TARGET_FPIR, Suspect, ThresholdChoice
from gallery.galleries import Galleries
from gallery.records.calibrations import CalibrationSource
from gallery.records.galleries import Gallery
from recognizer.errors import RecognizerError
from recognizer.fitness import need_fit
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns
from recognizer.quality import QualityLimits

MAX_PROBES = 1_000_000
MAX_SUSPECTS = 100
"""Limit on the suspects in an answer."""
MAX_UNREADABLE = 100
"""Limit on the unreadable probes in an answer."""


@dataclass(frozen=True, slots=True)
class _Settings:
    gallery_id: str
    target_fpir: float
    for_templates: int
    against_itself: bool
    probe_count: int | None
    cohort_id: str
    data_set: str
    without_suspects: bool
    validate_only: bool
    insist: bool
    etag: str
    contract: str


@dataclass(frozen=True, slots=True)
class _Searched:
    """The result of one probe.

    Attributes:
        search: the search for the face; ``None`` if the picture is unreadable.
        picture_sha256: digest of the picture.
        failure: why no face was searched for; empty if one was.
    """

    search: NonmatedSearch | None
    picture_sha256: str
    failure: str = ""


class Calibrations:
    """Calibrates galleries, each for one caller at a time.

    Args:
        pipeline: the models.
        workers: the threads that run them.
        galleries: the galleries.
        limits: minimum quality of a face to be identified.
        max_concurrent: calibrations that may run at the same time.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        workers: Workers,
        galleries: Galleries,
        limits: QualityLimits,
        *,
        max_concurrent: int,
    ) -> None:
        self._pipeline = pipeline
        self._workers = workers
        self._galleries = galleries
        self._limits = limits
        self._places = TransferPlaces(max_concurrent, CalibrationUnderWay)

    async def calibrate(
        self,
        requests: AsyncIterator[pb.CalibrateGalleryRequest],
        begin: Callable[[], Work],
        message: Callable[[Gallery], pb.Gallery],
    ) -> pb.CalibrateGalleryResponse:
        """Calibrate one gallery.

        Args:
            requests: the settings, then the probes.
            begin: starts one piece of the call's work.
            message: converts the gallery for the answer.

        Raises:
            InvalidField: a message is missing, out of order or invalid.
            CalibrationUnderWay: this gallery, or the maximum number of galleries, is already being calibrated.
            RequestExpired: the deadline passed.
            GalleryError: see :meth:`gallery.calibration.calibrator.Calibrator.calibrate`.
        """
        settings = _settings(await anext(requests, pb.CalibrateGalleryRequest()))
        work = begin()
        with self._places.entered(share.current(), current_pace(), settings.gallery_id):
            gallery = await on_a_thread(partial(self._begin, settings))
            if settings.for_templates and settings.for_templates < gallery.template_count:
                raise InvalidField(
                    "settings.for_template_count", f"is less than the {gallery.template_count} templates in the gallery"
                )
            searched = await self._search(requests, settings, gallery, begin)
            if settings.against_itself:
                cross_subject = partial(
                    self._galleries.calibrator.search_cross_subject, gallery, settings.cohort_id, check=work.check
                )
                evidence = await on_a_thread(cross_subject, work.abandon)
            else:
                evidence = _evidence(searched, settings.data_set)
            kept, chosen = await self._conclude(settings, gallery, evidence, work)
        calibration = kept.under(gallery.contract).calibration
        return pb.CalibrateGalleryResponse(
            gallery=message(kept),
            threshold_before=gallery.threshold,
            failures=Counter(each.failure for each in searched if each.failure),
            suspects=_suspects(chosen.suspects[:MAX_SUSPECTS], evidence, searched),
            suspect_count=len(chosen.suspects),
            unreadable_probes=[number for number, each in enumerate(searched) if each.search is None][:MAX_UNREADABLE],
            forecast=convert.forecast(chosen.forecast),
            calibration=None if calibration is None else convert.calibration(calibration),
        )

    def _begin(self, settings: _Settings) -> Gallery:
        """Return the gallery under the contract that is calibrated, after checking the settings that are about it."""
        gallery = self._galleries.get_gallery(settings.gallery_id)
        contract = settings.contract or gallery.contract
        if contract not in gallery.contracts:
            raise InvalidField("settings.contract", f"must be {' or '.join(gallery.contracts)}")
        self._galleries.migrations.need_loaded(gallery, contract)
        calibrator = self._galleries.calibrator
        gallery = calibrator.begin(settings.gallery_id, contract=settings.contract, etag=settings.etag)
        if settings.cohort_id and not calibrator.count_templates(settings.cohort_id, gallery.contract):
            raise InvalidField("settings.cohort_gallery_id", f"has no templates of the contract {gallery.contract}")
        return gallery

    async def _search(
        self,
        requests: AsyncIterator[pb.CalibrateGalleryRequest],
        settings: _Settings,
        gallery: Gallery,
        begin: Callable[[], Work],
    ) -> list[_Searched]:
        """Search for every probe; returns the results in the order of the probes."""
        found: dict[int, _Searched] = {}
        # A faster sender is not read from until a slot is free.
        slots = asyncio.Semaphore(2 * self._workers.threads)

        async def search_one(number: int, request: pb.CalibrateGalleryRequest, release: Callable[[], None]) -> None:
            try:
                await limits.turn()
                with telemetry.item():
                    work = begin()
                    found[number] = await self._workers.run_in_turns(
                        work, self._searched(request, gallery, work), never_refuse=True
                    )
            finally:
                release()
                slots.release()

        try:
            async with asyncio.TaskGroup() as tasks:
                number = 0
                async for request in requests:
                    if settings.against_itself:
                        raise InvalidField("settings.against_itself", "cannot be combined with probes")
                    if number == MAX_PROBES:
                        raise InvalidField("probe", f"exceeds the limit of {MAX_PROBES} probes")
                    await slots.acquire()
                    tasks.create_task(search_one(number, request, hold()))
                    number += 1
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        if not (found or settings.against_itself):
            raise InvalidField("probe", "is missing; only settings.against_itself works without probes")
        if settings.probe_count not in (None, len(found)):
            raise InvalidField("settings.probe_count", f"is {settings.probe_count}, but {len(found)} probes were sent")
        return [found[number] for number in sorted(found)]

    def _searched(self, request: pb.CalibrateGalleryRequest, gallery: Gallery, work: Work) -> Turns[_Searched]:
        if request.WhichOneof("part") != "probe":
            raise InvalidField("probe", "is missing: every message after the settings must have a probe")
        subject_id = validate.subject_id(request.probe.subject_id, "probe.subject_id")
        source = convert.source(request.probe.picture, "probe.picture")
        work.pixels = source.claimed_pixels()
        choose = convert.face_choice(request.probe.face, "probe.face") or only_face

        def turns() -> Turns[_Searched]:
            sha256 = source.sha256()
            try:
                _, (aligned,) = yield from analyze_and_align(self._pipeline, source, choose, work, "probe.picture")
                with field_at_fault("probe.picture"):
                    need_fit(aligned.quality, self._limits)
            except PictureError as error:
                return _Searched(None, sha256, error.reason)
            except RecognizerError as error:  # a person whose face is not found is a search that matches nobody
                return _Searched(empty_search(subject_id), sha256, error.reason)
            probe = self._pipeline.embed([aligned], work, contract=gallery.contract)
            work.check()
            (search,) = self._galleries.calibrator.search_nonmated(gallery, probe, [subject_id])
            return _Searched(search, sha256)

        return turns()

    async def _conclude(
        self, settings: _Settings, gallery: Gallery, evidence: Evidence, work: Work
    ) -> tuple[Gallery, ThresholdChoice]:
        calibrate = partial(
            self._galleries.calibrator.calibrate,
            gallery,
            evidence,
            target_fpir=settings.target_fpir,
            for_templates=settings.for_templates,
            without_suspects=settings.without_suspects,
            etag=settings.etag,
            validate_only=settings.validate_only,
            insist=settings.insist,
            check=work.check,
        )
        return await on_a_thread(calibrate, work.abandon)


def _settings(first: pb.CalibrateGalleryRequest) -> _Settings:
    if first.WhichOneof("part") != "settings":
        raise InvalidField("settings", "is missing: the first message must have it")
    wanted = first.settings
    gallery_id = validate.gallery_id(wanted.gallery_id, "settings.gallery_id")
    cohort_id = wanted.cohort_gallery_id
    if cohort_id:
        validate.gallery_id(cohort_id, "settings.cohort_gallery_id")
    if cohort_id == gallery_id:
        raise InvalidField("settings.cohort_gallery_id", "is the gallery itself")
    if cohort_id and not wanted.against_itself:
        raise InvalidField("settings.cohort_gallery_id", "requires settings.against_itself")
    if wanted.data_set and wanted.against_itself:
        raise InvalidField("settings.data_set", "cannot be combined with settings.against_itself")
    if not validate.MIN_FPIR <= wanted.target_fpir <= MAX_TARGET_FPIR:
        raise InvalidField(
            "settings.target_fpir", f"must be {validate.MIN_FPIR} to {MAX_TARGET_FPIR}, is {wanted.target_fpir}"
        )
    if wanted.HasField("for_template_count") and not 1 <= wanted.for_template_count <= validate.MAX_TEMPLATES:
        raise InvalidField("settings.for_template_count", f"must be 1 to {validate.MAX_TEMPLATES}")
    return _Settings(
        gallery_id=gallery_id,
        target_fpir=wanted.target_fpir,
        for_templates=wanted.for_template_count,
        against_itself=wanted.against_itself,
        probe_count=wanted.probe_count if wanted.HasField("probe_count") else None,
        cohort_id=cohort_id,
        data_set=validate.display_name(wanted.data_set, "settings.data_set"),
        without_suspects=wanted.without_suspects,
        validate_only=wanted.validate_only,
        insist=wanted.insist,
        etag=wanted.etag,
        contract=wanted.contract,
    )


def _suspects(
    suspects: Sequence[Suspect], evidence: Evidence, searched: list[_Searched]
) -> list[pb.CalibrationSuspect]:
    """Describe suspects with the templates or the probes that show them."""
    probes = [number for number, each in enumerate(searched) if each.search is not None]
    found = []
    for suspect in suspects:
        search = evidence.searches[suspect.search]
        found.append(
            pb.CalibrationSuspect(
                subject_id=suspect.subject_id,
                other_subject_id=suspect.other_id,
                similarity=suspect.similarity,
                chance=suspect.chance,
                template_id=search.template_id,
                other_template_id=search.other_template_id,
                probe=probes[suspect.search] if probes else None,
            )
        )
    return found


def _evidence(searched: list[_Searched], data_set: str) -> Evidence:
    found = [(each.search, each.picture_sha256) for each in searched if each.search is not None]
    lines = sorted(f"{search.subject_id}\t{picture_sha256}\n" for search, picture_sha256 in found)
    return Evidence(
        source=CalibrationSource.PROBES,
        searches=[search for search, _ in found],
        failures=sum(1 for each in searched if each.failure),
        data_set=data_set,
        data_set_sha256=hashlib.sha256("".join(lines).encode()).hexdigest(),
    )

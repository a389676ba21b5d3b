"""The messages of a calibration: its settings, then the probes as they are at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

from facet.client.messages import Messages
from facet.client.requests import PictureSource, picture
from facet.v1 import gallery_service_pb2 as pb

Probe = tuple[str, PictureSource] | pb.CalibrationProbe
"""A subject's id and a picture of them, or the message that says so."""


class CalibrationRequests(Messages[pb.CalibrateGalleryRequest]):
    """The messages of a calibration, one after the other.

    Args:
        gallery_id: the gallery.
        target_fpir: the share of unknown people that may be taken for somebody.
        probes: whose pictures are searched for; ``None`` for the gallery against itself.
        progress: called with the number of probes that were taken from here.
        fields: further ones of CalibrationSettings.

    Attributes:
        error: what reading a picture failed with, or that there was no probe, which gRPC does not pass on.
    """

    def __init__(
        self,
        gallery_id: str,
        target_fpir: float,
        probes: Iterable[Probe] | None,
        progress: Callable[[int], None] | None,
        **fields: Any,
    ) -> None:
        settings = pb.CalibrationSettings(
            gallery_id=gallery_id,
            target_fpir=target_fpir,
            against_itself=probes is None,
            probe_count=len(probes) if isinstance(probes, Sized) else None,
            **fields,
        )
        super().__init__(_messages(settings, probes, progress))


def _messages(
    settings: pb.CalibrationSettings, probes: Iterable[Probe] | None, progress: Callable[[int], None] | None
) -> Iterator[pb.CalibrateGalleryRequest]:
    yield pb.CalibrateGalleryRequest(settings=settings)
    number = 0
    for number, probe in enumerate(probes or (), start=1):
        if isinstance(probe, tuple):
            subject_id, source = probe
            probe = pb.CalibrationProbe(subject_id=subject_id, picture=picture(source))
        yield pb.CalibrateGalleryRequest(probe=probe)
        if progress is not None:
            progress(number)
    if probes is not None and not number:
        raise ValueError("there are no probes; None calibrates a gallery against itself")

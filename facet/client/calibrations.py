"""The messages of a calibration: its settings, then the probes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from facet.client.pictures import PictureSource, picture
from facet.v1 import gallery_service_pb2 as pb

Probe = tuple[str, PictureSource] | pb.CalibrationProbe
"""A subject's id and a picture of the person, or the message itself."""


def calibration_requests(
    settings: pb.CalibrationSettings, probes: Iterable[Probe] | None, progress: Callable[[int], None] | None
) -> Iterator[pb.CalibrateGalleryRequest]:
    """Make the messages of CalibrateGallery, one at a time.

    Args:
        settings: the first message.
        probes: the others; ``None`` for none.
        progress: called with the number of probes so far.

    Raises:
        OSError: a picture cannot be read.
        ValueError: there are no probes.
    """
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

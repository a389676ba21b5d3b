"""The client for programs on asyncio.

The methods are written here. Those of :mod:`facet.client.sync` are generated from them by scripts/generate_client.py;
only ``connection`` and ``calls``, which differ in more than ``await``, are written twice.
"""

from facet.client.aio.corrections import CorrectionMethods
from facet.client.aio.galleries import GalleryMethods
from facet.client.aio.migrations import MigrationMethods
from facet.client.aio.observations import ObservationMethods
from facet.client.aio.recognition import RecognitionMethods
from facet.client.aio.subjects import SubjectMethods


class AsyncClient(
    RecognitionMethods, GalleryMethods, MigrationMethods, ObservationMethods, SubjectMethods, CorrectionMethods
):
    """A connection to a Facet server, for programs on asyncio. See :class:`facet.Client` for the arguments."""

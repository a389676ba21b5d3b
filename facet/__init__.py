"""What a client program imports to talk to a Facet server.

>>> from facet import Client
>>> from facet.v1.recognition_service_pb2 import DECISION_MATCH
>>> with Client("127.0.0.1:50051") as client:
...     client.create_gallery("team")
...     client.enroll("team", "yao-ming", "yaoming.jpg", display_name="Yao Ming")
...     for face in client.identify("team", "players.jpg").faces:
...         if face.identification.decision == DECISION_MATCH:
...             print(face.identification.candidates[0].display_name)

The requests and responses are the messages of :mod:`facet.v1`, where every field is described. Methods that are
not on the clients are on their stubs: ``client.galleries.ListSubjects(...)``. Both raise :class:`FacetError`.
"""

from facet.client.aio import AsyncClient
from facet.client.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FacetError,
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    from_status,
)
from facet.client.requests import CENTRAL, LARGEST, picture
from facet.client.streams import stream_frame
from facet.client.sync import Client

__all__ = [
    "CENTRAL",
    "LARGEST",
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "Cancelled",
    "Client",
    "DataLoss",
    "DeadlineExceeded",
    "FacetError",
    "FailedPrecondition",
    "InternalError",
    "InvalidArgument",
    "NotFound",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "from_status",
    "picture",
    "stream_frame",
]

"""A client program's side: calls to a Facet server, synchronous and for asyncio.

Import from :mod:`facet`, which offers all of this.
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

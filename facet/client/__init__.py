"""A client program's side: calls to a Facet server, synchronous and for asyncio.

Import from :mod:`facet`, which offers all of this.
"""

from facet.client.aio import AsyncClient
from facet.client.batches import Enrollment
from facet.client.duplicates import DuplicateSearch
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
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    from_status,
)
from facet.client.health import ServingStatus
from facet.client.pictures import picture, raw_picture
from facet.client.requests import CENTRAL, FAST, LARGEST, THOROUGH
from facet.client.streams import stream_frame
from facet.client.sync import Client
from facet.client.terms import consent, policy
from facet.client.tls import InsecureConnectionWarning

__all__ = [
    "CENTRAL",
    "FAST",
    "LARGEST",
    "THOROUGH",
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "Cancelled",
    "Client",
    "DataLoss",
    "DeadlineExceeded",
    "DuplicateSearch",
    "Enrollment",
    "FacetError",
    "FailedPrecondition",
    "InsecureConnectionWarning",
    "InternalError",
    "InvalidArgument",
    "NotFound",
    "PermissionDenied",
    "ResourceExhausted",
    "ServingStatus",
    "Unauthenticated",
    "Unavailable",
    "consent",
    "from_status",
    "picture",
    "policy",
    "raw_picture",
    "stream_frame",
]

"""What a client program imports to talk to a Facet server.

>>> from facet import Client
>>> from facet.v1.recognition_service_pb2 import DECISION_MATCH
>>> with Client("127.0.0.1:50051") as client:
...     client.create_gallery("team")
...     client.enroll("team", "yao-ming", "yaoming.jpg", display_name="Yao Ming")
...     for face in client.identify("team", "players.jpg").faces:
...         if face.identification.decision == DECISION_MATCH:
...             print(face.identification.candidates[0].display_name)

:class:`Client` has a method for every RPC, and :class:`AsyncClient` the same ones for asyncio. Responses are the
messages of :mod:`facet.v1`, which describes every field. A call that fails raises a :class:`FacetError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from facet.client import (
        CENTRAL,
        FAST,
        LARGEST,
        THOROUGH,
        Aborted,
        AlreadyExists,
        AsyncClient,
        Cancelled,
        Client,
        DataLoss,
        DeadlineExceeded,
        DuplicateSearch,
        Enrollment,
        FacetError,
        FailedPrecondition,
        InsecureConnectionWarning,
        InternalError,
        InvalidArgument,
        NotFound,
        PermissionDenied,
        ResourceExhausted,
        ServingStatus,
        Unauthenticated,
        Unavailable,
        consent,
        from_status,
        picture,
        policy,
        raw_picture,
        stream_frame,
    )

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


if not TYPE_CHECKING:  # a type checker that sees it would take any name for one of ours

    def __getattr__(name: str) -> Any:
        """Import the client when one of its names is first used.

        The command ``facet`` imports this package as well. It starts without gRPC, and on an old Python it can still
        say what is wrong.
        """
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from facet import client

        value = globals()[name] = getattr(client, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

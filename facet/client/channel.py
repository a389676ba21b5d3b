"""How a client reaches the server: address, token, deadlines and retries."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from facet.client.retry import service_config

ADDRESS_VARIABLE = "FACET_ADDRESS"
TOKEN_VARIABLE = "FACET_TOKEN"  # noqa: S105 - the name of a variable, not a token
DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT = 30.0
_RECONNECT_MS = 5000
"""A server that is back after it was away is found so soon, instead of after up to two minutes."""
_KEEPALIVE_MS = 20_000
"""A server that is silent is asked so often whether it is there, and half of that is waited for its answer."""

_RECOGNITION = "facet.v1.RecognitionService"
_READING = (_RECOGNITION, "facet.v1.ServerService")
_GALLERIES = "facet.v1.GalleryService"
_REPEATABLE = (
    "EnrollFace",
    "GetGallery",
    "GetSubject",
    "ListGalleries",
    "ListSubjects",
    "ListTemplates",
    "SearchEmbedding",
)
_STREAMS = ("CalibrateGallery", "EnrollBatch", "ExportGallery", "ImportGallery")


def resolve(address: str | None, token: str | None) -> tuple[str, str | None]:
    """The address and the token: what is given, else the environment's, else the default."""
    return (
        address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS,
        token or os.environ.get(TOKEN_VARIABLE) or None,
    )


def options(timeout: float) -> Sequence[tuple[str, Any]]:
    """Channel options: messages of any size, a deadline for unary calls, and retries while nobody answers.

    Only what can be done twice is retried: everything that reads, and enrolment, which enrols a picture once.
    """
    deadline = f"{timeout:.6f}s"
    repeatable = [*((service, "") for service in _READING), *((_GALLERIES, method) for method in _REPEATABLE)]
    config = service_config(repeatable)
    config["methodConfig"][0]["timeout"] = deadline
    unlimited = [{"service": _GALLERIES, "method": method} for method in _STREAMS]
    unlimited += [{"service": _RECOGNITION, "method": method} for method in ("IdentifyBatch", "IdentifyStream")]
    config["methodConfig"] += [{"name": [{"service": _GALLERIES}], "timeout": deadline}, {"name": unlimited}]
    return (
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_retries", 1),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_MS // 2),
        ("grpc.service_config", json.dumps(config)),
    )


def with_token(details: Any, token: str | None) -> Any:
    """The details of a call, the token added to its metadata."""
    if token is None:
        return details
    return details._replace(metadata=[*(details.metadata or ()), ("authorization", f"Bearer {token}")])

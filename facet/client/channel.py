"""How a client reaches a server: address, token, and the options of its channel."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from facet.client.retry import service_config

Token: TypeAlias = str | Callable[[], str]
"""What a call sends to say who makes it: a key or token, or what answers the one that is valid now."""

ADDRESS_VARIABLE = "FACET_ADDRESS"
TOKEN_VARIABLE = "FACET_TOKEN"  # noqa: S105 - the name of a variable, not a token
DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT = 30.0
_RECONNECT_MS = 5000
"""The longest pause before a lost server is looked for again; gRPC's own is two minutes."""
_KEEPALIVE_MS = 20_000
"""A silent server is pinged this often, and has half as long to answer."""
_REPEATED_BYTES = 17 * 2**20
"""gRPC repeats no larger request: this is what servers take unless they are told to take more. Its own is 256 KB, less
than many pictures. An upload keeps as much of its beginning in memory."""

_RECOGNITION = "facet.v1.RecognitionService"
_GALLERIES = "facet.v1.GalleryService"
REPEATABLE = (
    (_RECOGNITION, "AnalyzeFaces"),
    (_RECOGNITION, "Detect"),
    (_RECOGNITION, "Identify"),
    (_RECOGNITION, "Verify"),
    ("facet.v1.ServerService", "GetServerInfo"),
    (_GALLERIES, "EnrollFace"),
    (_GALLERIES, "FillMigrationGap"),
    (_GALLERIES, "GetGallery"),
    (_GALLERIES, "GetSubject"),
    (_GALLERIES, "ListGalleries"),
    (_GALLERIES, "ListMigrationGaps"),
    (_GALLERIES, "ListSubjects"),
    (_GALLERIES, "ListTemplates"),
    (_GALLERIES, "SearchEmbedding"),
)
"""Unary calls that may be made twice: those that only read, EnrollFace, which enrols a picture once, and
FillMigrationGap, which makes an embedding once.

Deletions are left to the program: the second of two would answer NOT_FOUND for what the first has done, or delete a
subject that somebody has enrolled again in between.
"""


def token_of(token: Token | None) -> Token | None:
    """The token: the one given, which may be empty for none, else the environment's."""
    return (os.environ.get(TOKEN_VARIABLE) if token is None else token) or None


def address_of(address: str | None) -> str:
    """The address: the one given, else the environment's, else the default."""
    return address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS


def check_alone(*others: object) -> None:
    """Refuse arguments that have no effect on a channel of the caller's.

    Raises:
        ValueError: one was given.
    """
    if any(other not in (None, False) for other in others):
        raise ValueError("a channel has its own address, certificates and policy: give either those or the channel")


def options(*, round_robin: bool = False) -> Sequence[tuple[str, Any]]:
    """Channel options: messages of any size, keepalive, and retries while no server answers.

    Args:
        round_robin: see :class:`facet.Client`.
    """
    return (
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_retries", 1),
        ("grpc.per_rpc_retry_buffer_size", _REPEATED_BYTES),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_MS // 2),
        ("grpc.service_config", json.dumps(service_config(REPEATABLE, round_robin=round_robin))),
    )


def with_token(metadata: Any, token: Token | None) -> Any:
    """A call's metadata, with the token added."""
    if token is None:
        return metadata
    return (*(metadata or ()), ("authorization", f"Bearer {token() if callable(token) else token}"))

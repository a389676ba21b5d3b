"""Finds one of the embedding models that a server has loaded, by what people call it."""

from __future__ import annotations

from facet.terminal import console
from facet.terminal.visible import visible
from facet.v1.server_service_pb2 import EmbeddingModel, GetServerInfoResponse

_MIN_DIGITS = 8


def contract_of(info: GetServerInfoResponse, model: str) -> str:
    """The contract of a loaded model; exits with a message that names those that are loaded if it is none of them.

    Args:
        info: the server's description of itself.
        model: its name, its contract, or 8 or more digits that its file's SHA-256 begins with.
    """
    found = [each.contract for each in info.embedding_models if _is_called(each, model)]
    if not found:
        loaded = ", ".join(each.name for each in info.embedding_models) or "not told by this server"
        console.fail(visible(f"--model {model}: the server has no such embedding model; loaded: {loaded}"))
    return found[0]


def _is_called(loaded: EmbeddingModel, model: str) -> bool:
    begins = len(model) >= _MIN_DIGITS and loaded.sha256.startswith(model)
    return begins or model in (loaded.name, loaded.contract)

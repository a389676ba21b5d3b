"""Drops calls with very many entries of metadata, before gRPC makes Python objects of them."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Coroutine, Generator
from typing import Any, TypeAlias

import grpc
import structlog
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # the stubs of gRPC leave it out

from facet.server.connections.activity import Activity
from facet.server.memory_return import MemoryReturn

_Coroutine: TypeAlias = Coroutine[Any, Any, Any] | Generator[Any, None, Any]

_MAX_ENTRIES = 512
"""An entry counts at least 32 bytes, so gRPC's own limit of 16 KB lets no more pass. But gRPC applies it only once the
client has acknowledged the server's settings."""
_BYTES_PER_ENTRY = 256
"""What gRPC keeps of an entry, roughly."""
_CALL = "_schedule_rpc_coro"
"""The coroutine that gRPC runs for each call."""

_log = structlog.get_logger("facet.connections")


class _CallState(ctypes.Structure):
    """``RPCState`` as ``grpc/_cython/_cygrpc/aio/server.pxd.pxi`` lays it out, up to the metadata."""

    _fields_ = (
        ("wrapper", ctypes.c_byte * cygrpc.GrpcCallWrapper.__basicsize__),
        ("methods", ctypes.c_void_p),
        ("method", ctypes.c_byte * 32),
        ("host", ctypes.c_byte * 32),
        ("deadline", ctypes.c_byte * 16),
        ("entries", ctypes.c_size_t),
        ("capacity", ctypes.c_size_t),
    )


_LAYOUT_IS_KNOWN = (
    grpc.__version__.startswith("1.85.") and cygrpc.RPCState.__basicsize__ - cygrpc.GrpcCallWrapper.__basicsize__ == 200
)
"""The version as well as the size: a layout with the fields in another order would drop calls that are harmless."""


class Gate:
    """Lets no call with more than 512 entries of metadata start.

    gRPC makes Python objects of the metadata before any code of the server runs. A client that does not acknowledge the
    server's settings can send half a million entries in 500 KB, with references to HPACK's table. They would stop the
    event loop for a second. gRPC does not tell their number, so it is read from the state of the call.

    Args:
        activity: is told of the connections of such calls.
    """

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._memory = MemoryReturn()

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at all calls that start on this loop. All other tasks are created as before."""
        if not _LAYOUT_IS_KNOWN:
            _log.warning("this version of gRPC is unknown: the number of entries of metadata is not limited")
            return
        inner = loop.get_task_factory()

        def create(loop: asyncio.AbstractEventLoop, coroutine: _Coroutine, **options: Any) -> Any:
            if getattr(coroutine, "__name__", "") == _CALL and self._drops(coroutine, loop):
                coroutine = _nothing()
            return inner(loop, coroutine, **options) if inner else asyncio.Task(coroutine, loop=loop, **options)

        loop.set_task_factory(create)

    def _drops(self, call: _Coroutine, loop: asyncio.AbstractEventLoop) -> bool:
        held = [each for scope in gc.get_referents(call) for each in gc.get_referents(scope)]
        state = next((each for each in held if type(each) is cygrpc.RPCState), None)
        if state is None:
            return False
        entries = _CallState.from_address(id(state)).entries
        if entries <= _MAX_ENTRIES:
            return False
        self._activity.note_oversized(cygrpc._ServicerContext(state, None, None, loop).peer())
        self._memory.freed(entries * _BYTES_PER_ENTRY)
        for each in (*held, call):
            if asyncio.iscoroutine(each):
                each.close()
        return True


async def _nothing() -> None:
    """What runs instead of a call that is dropped. gRPC resets the call when nothing refers to it any more."""

"""How a call ends at once, with gRPC's own server."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from facet.server.calls.ending import CallTasks

SECONDS = 30.0


async def test_ending_a_call_whose_client_has_just_left_prints_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    tasks = CallTasks()
    before = loop.get_task_factory()
    tasks.install(loop)
    handlers: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()

    async def answer(_request: Any, _context: Any) -> bytes:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(tasks.end)  # before gRPC's second task learns that this one is done
        handlers.put_nowait(task)
        await asyncio.Event().wait()
        return b""

    server = grpc.aio.server()
    method: Any = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test", {"Wait": method})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with asyncio.timeout(SECONDS), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        wait: Any = channel.unary_unary("/test/Wait")
        call = wait(b"")
        handler = await handlers.get()
        call.cancel()
        await asyncio.wait([handler])
    await server.stop(None)
    loop.set_task_factory(before)
    assert "Traceback" not in capfd.readouterr().err
    assert not caplog.records

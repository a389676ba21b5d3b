"""Processes that are started and watched: here small programs that serve nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from facet.server.processes.processes import CannotStart, Processes
from tests.waiting import PATIENCE, until

SERVES = """import sys; print('{"address": "nowhere"}', flush=True); sys.stdin.read()"""
BEATS = """
import time
print('a library says hello')
print('{"address": "nowhere"}', flush=True)
while True:
    time.sleep(0.001)
    print(flush=True)
"""
ENDS = "import sys; sys.stdin.read()"
STOP_SECONDS = 30.0
ROOT = Path(__file__).resolve().parents[4]


def run(program: str, *, count: int = 1, hung_seconds: float = STOP_SECONDS) -> Processes:
    return Processes(lambda _: (sys.executable, "-c", program), count, STOP_SECONDS, hung_seconds)


async def while_they_run(processes: Processes, body: Callable[[], Awaitable[None]]) -> None:
    """Start processes, do something when all of them serve, and stop them."""
    told_to_stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(processes.run(told_to_stop, ready.set, lambda: None))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if ready.is_set():
            await body()
    finally:
        told_to_stop.set()
        waiting.cancel()
        await running


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()


def pid_of(processes: Processes) -> int:
    (member,) = processes.members
    assert member.process is not None
    return member.process.pid


def test_a_process_that_has_hung_is_killed_and_started_again() -> None:
    processes = run(BEATS, hung_seconds=2.0)

    async def body() -> None:
        first = pid_of(processes)
        os.kill(first, signal.SIGSTOP)
        await asyncio.to_thread(until, lambda: processes.members[0].restarts and processes.members[0].said)
        assert pid_of(processes) != first

    asyncio.run(while_they_run(processes, body))
    assert processes.members[0].restarts == 1


def test_the_first_process_of_a_container_reaps_what_a_dead_one_leaves_behind() -> None:
    new_namespace = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if shutil.which("unshare") is None or subprocess.run([*new_namespace, "true"], check=False).returncode != 0:
        pytest.skip("needs the right to make a namespace of processes")
    this = "from tests.unit.server.processes.test_processes import run_as_first_process; run_as_first_process()"
    subprocess.run([*new_namespace, sys.executable, "-c", this], cwd=ROOT, check=True, timeout=PATIENCE)


def run_as_first_process() -> None:
    """Kill a process whose child, in a session of its own, ends when its standard input does."""
    child = f"subprocess.Popen([sys.executable, '-c', {ENDS!r}], stdin=subprocess.PIPE, start_new_session=True)"
    processes = run(f"import subprocess, sys; {child}{BEATS}")

    async def body() -> None:
        first = pid_of(processes)
        (left,) = children_of(first)
        os.kill(first, signal.SIGKILL)
        await asyncio.to_thread(until, lambda: not Path(f"/proc/{left}").exists())

    assert os.getpid() == 1
    asyncio.run(while_they_run(processes, body))


async def test_processes_that_say_that_they_work_just_when_they_are_stopped_are_stopped() -> None:
    """Python 3.11 loses a cancellation that comes together with what was waited for by asyncio.wait_for()."""
    processes = run(BEATS, count=8)

    async def body() -> None:
        """Stop them at once."""

    async with asyncio.timeout(PATIENCE):
        await while_they_run(processes, body)
    assert all(each.process is not None and each.process.returncode is not None for each in processes.members)


@pytest.mark.parametrize(
    ("program", "code", "message"),
    [
        ("import sys; sys.exit(2)", 2, "process 1 ended with exit code 2 before it served"),
        ("", 1, "process 1 ended with exit code 0 before it served"),
        ("import os; print('{', end='', flush=True); os.kill(os.getpid(), 15)", 1, "process 1 was ended by SIGTERM"),
        ("import os; os.kill(os.getpid(), 9)", 1, "process 1 was ended by SIGKILL before it served: is there enough"),
    ],
)
def test_a_process_that_ends_before_it_serves_is_named(program: str, code: int, message: str) -> None:
    with pytest.raises(CannotStart, match=message) as caught:
        asyncio.run(run(program, count=2).run(asyncio.Event(), lambda: None, lambda: None))
    assert caught.value.code == code
    assert caught.value.has_said_why == (program != "" and "os.kill" not in program)


def test_a_system_without_room_for_a_process_is_an_error_of_the_system() -> None:
    """The first one starts, the second one cannot."""
    programs = {1: (sys.executable, "-c", SERVES), 2: ("/nowhere/python",)}
    with pytest.raises(FileNotFoundError):
        asyncio.run(Processes(programs.__getitem__, 2, STOP_SECONDS).run(asyncio.Event(), lambda: None, lambda: None))

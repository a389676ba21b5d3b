"""Starts server processes, starts those again that die, and stops all of them together."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from facet.server.service_manager import SOCKET_VARIABLE

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
"""Time until a process that has died is started again; it doubles with each attempt."""
_STEADY_SECONDS = 60.0
"""A process that has served for this long begins with the first pause again."""
_MAX_LINE_BYTES = 2**20
"""Of what a process says when it serves."""
BEAT_SECONDS = 1.0
"""How often a process that serves says that it works."""
_HUNG_SECONDS = 30.0
"""A process that has not said so for this long has hung; ``/livez`` of a single process says the same."""
_HUNG_STEPS = 10
"""In which that time is counted: this process may itself have been stopped for hours."""

_log = structlog.get_logger("facet.processes")


class CannotStart(Exception):
    """A process ended before it served.

    Args:
        number: which process.
        code: its exit code, or minus the signal that ended it, as the standard library has it.

    Attributes:
        code: its exit code, at least 1.
        has_said_why: it has said on standard error why; otherwise the message says what is known.
    """

    def __init__(self, number: int, code: int) -> None:
        ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        memory = ": is there enough memory?" if code == -signal.SIGKILL else ""
        super().__init__(f"process {number} {ended} before it served{memory}")
        self.code = max(code, 1)
        self.has_said_why = code > 0


@dataclass(slots=True)
class Member:
    """One of the processes.

    Attributes:
        number: from 1.
        process: the system's process; ``None`` before its first start.
        said: what it said when it began to serve; empty while it does not serve.
        restarts: how often it was started again.
    """

    number: int
    process: asyncio.subprocess.Process | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    restarts: int = 0

    @property
    def metrics_address(self) -> str:
        """Where it serves its metrics; empty while it does not serve."""
        return str(self.said.get("metrics_address", ""))


class Processes:
    """A number of server processes. Use it from one event loop.

    A process must print a line of JSON on standard output when it serves, and then an empty line every
    :data:`BEAT_SECONDS`: one that has hung is killed. It must stop when its standard input ends: then the processes do
    not outlive this one, whatever ends it.

    Args:
        command: the arguments that start the process of a number.
        count: number of processes.
        stop_seconds: how long they may take to stop; then they are killed.
        hung_seconds: how long one may be silent before it is killed and started again.

    Attributes:
        members: the processes.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        count: int,
        stop_seconds: float,
        hung_seconds: float = _HUNG_SECONDS,
    ) -> None:
        self._command = command
        self._stop_seconds = stop_seconds
        self._hung_seconds = hung_seconds
        self.members = tuple(Member(number) for number in range(1, count + 1))

    async def run(
        self, told_to_stop: asyncio.Event, when_ready: Callable[[], None], when_stopping: Callable[[], None]
    ) -> bool:
        """Run the processes until told to stop.

        Args:
            told_to_stop: is set when they are to stop.
            when_ready: called once when all of them serve.
            when_stopping: called once when they are told to stop.

        Returns:
            whether all have stopped by themselves; those that took too long were killed.

        Raises:
            CannotStart: one of them could not start at first. The others have been stopped.
            OSError: the system has no room for another process. The others have been stopped.
        """
        tasks = {asyncio.create_task(told_to_stop.wait()), starting := asyncio.create_task(self._start_all())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not told_to_stop.is_set():
                await starting
                when_ready()
                tasks |= {asyncio.create_task(self._keep(member)) for member in self.members}
                tasks.remove(starting)
                await next(asyncio.as_completed(tasks))  # raises what no task should raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            when_stopping()
            have_stopped = await self._stop_all()
        return have_stopped

    async def _start_all(self) -> None:
        """Start the first one alone: it brings the database to its version, and what keeps all of them is said once."""
        first, *others = self.members
        await self._start(first)
        try:
            async with asyncio.TaskGroup() as together:
                for member in others:
                    together.create_task(self._start(member))
        except* (CannotStart, OSError) as errors:
            raise errors.exceptions[0] from None

    async def _start(self, member: Member) -> None:
        # In a session of its own: Ctrl-C is for this process, which tells the others to stop.
        member.process = await asyncio.create_subprocess_exec(
            *self._command(member.number),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_MAX_LINE_BYTES,
            env=_environment(),
            start_new_session=True,
        )
        assert member.process.stdout is not None  # noqa: S101 - it is a pipe
        line = b""
        while not line.startswith(b"{"):  # a library may have said something before
            line = await member.process.stdout.readline()
            if not line.endswith(b"\n"):
                raise CannotStart(member.number, await member.process.wait())
        member.said = json.loads(line)

    async def _keep(self, member: Member) -> None:
        """Start a process again whenever it ends."""
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE_SECONDS
        while member.process is not None:
            begun = clock()
            code = await self._end_of(member.process, member.number)
            member.said = {}
            if clock() - begun > _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            _log.error("a process died", process=member.number, pid=member.process.pid, code=code, again_in=pause)
            while not member.said:
                await asyncio.sleep(pause)
                self._reap_orphans()
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                member.restarts += 1
                try:
                    await self._start(member)
                except (CannotStart, OSError) as error:
                    _log.error("a process cannot start again", process=member.number, error=str(error), again_in=pause)
            _log.info("a process serves again", process=member.number, pid=member.process.pid)

    async def _end_of(self, process: asyncio.subprocess.Process, number: int) -> int:
        """Wait until a process ends, and kill it if it has hung; gives its exit code."""
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        step = self._hung_seconds / _HUNG_STEPS
        missed = 0
        while missed < _HUNG_STEPS:
            self._reap_orphans()
            try:
                async with asyncio.timeout(step):  # wait_for() of Python 3.11 may swallow that this task is cancelled
                    beat = await process.stdout.readline()
            except TimeoutError:
                missed += 1
            else:
                if not beat:
                    return await process.wait()
                missed = 0
        _log.error("a process has hung, and is killed", process=number, pid=process.pid, seconds=self._hung_seconds)
        process.kill()
        return await process.wait()

    def _reap_orphans(self) -> None:
        """Let the decoders of dead processes go: the first process of a container becomes their parent."""
        if os.getpid() != 1:
            return
        own = {each.process.pid for each in self.members if each.process is not None}
        with suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid in own:
                    break
                os.waitpid(ended.si_pid, 0)

    async def _stop_all(self) -> bool:
        alive = [each.process for each in self.members if each.process is not None and each.process.returncode is None]
        for process in alive:
            process.terminate()
        waiting = [asyncio.create_task(process.wait()) for process in alive]
        late = (await asyncio.wait(waiting, timeout=self._stop_seconds))[1] if waiting else set()
        if late:
            _log.error("processes did not stop in time, and are killed", count=len(late), seconds=self._stop_seconds)
        for process in alive:
            if process.returncode is None:
                process.kill()
        await asyncio.gather(*waiting)
        return not late


def _environment() -> dict[str, str]:
    """That of this process, whose modules the others find. Only this one speaks with the service manager."""
    kept = {name: value for name, value in os.environ.items() if name != SOCKET_VARIABLE}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

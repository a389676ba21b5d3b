"""Kills a process at each of its writes: ``python -m tests.faults.gallery.kill_points OPERATION FOLDER POINTS SEED``.

The process runs with the library of tests/faults/injection. It prepares files, copies them for each point, and forks a
process that carries out the operation and dies right before one of its writes, syncs, truncations, renamings or
deletions. A killed process loses nothing that it has handed to the kernel, so these are all the different moments at
which it can die. Then it opens the files as a server does and compares them with what they were before and what they
are after the whole operation.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.gallery.encrypted_operations import ENCRYPTED
from tests.faults.gallery.operations import OPERATIONS, Operation
from tests.faults.injection.faults import Faults


@dataclass(slots=True)
class Found:
    """What was found after the kills.

    Attributes:
        writes: the writes of the whole operation.
        kills: processes that were killed.
        acknowledged: those that had reported all steps before; all of it was there.
        complete: those that died during a step, and whose step was complete.
        missing: those that died during a step, and whose step had left nothing.
    """

    writes: int = 0
    kills: int = 0
    acknowledged: int = 0
    complete: int = 0
    missing: int = 0


def run_killed(operation: Operation, folder: Path, faults: Faults, point: int) -> tuple[bool, int]:
    """Run an operation in a process that dies at a point; return whether it died, and how many steps it reported."""
    ours, theirs = os.pipe()
    process = os.fork()
    if not process:
        status = 1
        try:
            operation.run(folder, operation.steps, lambda: faults.kill_at(point), lambda: os.write(theirs, b"!"))
            status = 0
        finally:
            os._exit(status)
    os.close(theirs)
    with os.fdopen(ours, "rb") as reported:
        acknowledged = len(reported.read())
    _, status = os.waitpid(process, 0)
    faults.kill_at(0)
    was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert was_killed or status == 0, f"{operation.name}: the process ended with {status} at point {point}"
    return was_killed, acknowledged


def expected_states(operation: Operation, prepared: Path, work: Path, faults: Faults) -> tuple[list[Any], int]:
    """Return the states before the operation and after each of its steps, and the number of its writes."""
    states = []
    for steps in range(operation.steps + 1):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(prepared, work)
        process = os.fork()
        if not process:
            operation.run(work, steps, partial(faults.kill_at, 0), lambda: None)
            os._exit(0)
        assert os.waitpid(process, 0)[1] == 0
        writes = faults.operations
        states.append(operation.state(work))
    return states, writes


def check(operation: Operation, folder: Path, *, most_points: int, seed: int) -> Found:
    """Kill at points chosen at random, all of them if there are no more than ``most_points``, and at the last one."""
    faults, found = Faults.of_this_process(), Found()
    prepared, work = folder / "prepared", folder / "work"
    prepared.mkdir()
    operation.prepare(prepared)
    states, found.writes = expected_states(operation, prepared, work, faults)
    points = range(1, found.writes + 1)
    chosen = random.Random(seed).sample(points, min(most_points, found.writes))
    for point in sorted({*chosen, found.writes}):
        shutil.rmtree(work)
        shutil.copytree(prepared, work)
        was_killed, acknowledged = run_killed(operation, work, faults, point)
        if not was_killed:
            continue  # the background thread wrote less this time
        context = f"{operation.name}, seed {seed}, killed before write {point} of {found.writes}, {acknowledged} steps"
        state = operation.state(work)
        is_done, is_undone = state in states[acknowledged + 1 : acknowledged + 2], state == states[acknowledged]
        if not (is_done or is_undone):
            raise SystemExit(f"{context}: the files are neither as before nor as after the next step")
        found.kills += 1
        if acknowledged == operation.steps:
            found.acknowledged += 1
        elif is_done:
            found.complete += 1
        else:
            found.missing += 1
        operation.repeat(work)
        if operation.state(work) != states[-1]:
            raise SystemExit(f"{context}: repeated, it is not complete")
    return found


if __name__ == "__main__":
    name, where, points, seed = sys.argv[1:]
    operation = {**OPERATIONS, ENCRYPTED.name: ENCRYPTED}[name]
    result = check(operation, Path(where), most_points=int(points), seed=int(seed))
    sys.stdout.write(json.dumps(asdict(result)))

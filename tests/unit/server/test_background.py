"""Pools whose threads run before the first task."""

from __future__ import annotations

import threading

from facet.server.background import started_pool


def test_all_threads_of_a_started_pool_run_and_take_tasks() -> None:
    pool = started_pool(3, "of this test")
    running = {each.name for each in threading.enumerate() if each.name.startswith("of this test")}
    assert len(running) == 3
    together = threading.Barrier(3)
    tasks = [pool.submit(lambda: (together.wait(60), threading.current_thread().name)[1]) for _ in range(3)]
    assert {task.result() for task in tasks} == running
    pool.shutdown()

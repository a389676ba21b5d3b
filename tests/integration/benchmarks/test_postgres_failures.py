"""``bench.py postgres-failures`` as programs run it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.usefixtures("postgres_server")  # skips the test where no PostgreSQL is installed
def test_nothing_acknowledged_is_lost_and_nothing_appears_when_servers_and_their_database_are_killed(
    bench: Run,
) -> None:
    few = ("--servers", "2", "--server-kills", "2", "--promotions", "1", "--restarts", "0")
    done = bench("postgres-failures", *few, "--json")
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert (report["lost"], report["phantoms"], report["incomplete"], report["different"]) == (0, 0, 0, 0)
    assert done.returncode == 0
    assert (report["server_kills"], report["promotions"], report["restarts"]) == (2, 1, 0)
    assert report["acknowledged"] > 0

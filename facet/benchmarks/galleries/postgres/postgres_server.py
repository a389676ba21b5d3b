"""A temporary PostgreSQL server, for tests and benchmarks."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

STARTS_WITHIN_SECONDS = 60

_USER = "facet"
_ROOT_RUNS_IT_AS = "postgres"
_DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian's package ``postgresql`` has the programs of a server, in a folder for each version."""


class PostgresServer:
    """A PostgreSQL on a free port of the loopback interface, with all its files in one folder.

    Started by root, it runs as the user ``postgres``: PostgreSQL refuses to run as root.

    Args:
        folder: created if missing, and not deleted.
        settings: of PostgreSQL, by name.
        programs: the folder with the programs of the server; ``None`` for those that are installed.
        primary: the server that it replicates as a standby, with the same password; ``None`` if it is a primary itself.
        port: where it listens; ``None`` for a free one.

    Attributes:
        port: where it listens.

    Raises:
        FileNotFoundError: no server is installed.
        subprocess.CalledProcessError: it does not start within :data:`STARTS_WITHIN_SECONDS`.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any] = MappingProxyType({}),
        *,
        programs: Path | None = None,
        primary: PostgresServer | None = None,
        port: int | None = None,
    ) -> None:
        self._programs = programs or _programs()
        self._folder = folder
        self._data = folder / "data"
        folder.mkdir(exist_ok=True)
        self._let_in(folder)
        self.port = port or _free_port()
        if primary is None:
            self.password = secrets.token_urlsafe(12)
            secret = folder / "password"
            secret.write_text(self.password)
            self._run("initdb", "--auth=scram-sha-256", f"--username={_USER}", f"--pwfile={secret}", "--encoding=UTF8")
        else:
            self.password = primary.password
            self._run("pg_basebackup", f"--dbname={primary.url}", "--write-recovery-conf", "--checkpoint=fast")
        listening = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": folder}
        self._configure({**listening, **settings})
        self.start()

    @property
    def url(self) -> str:
        """Address for clients, with the user and the password."""
        return f"postgresql://{_USER}:{self.password}@127.0.0.1:{self.port}/postgres"

    @property
    def tables(self) -> Path:
        """The folder with the files of all tables."""
        return self._data / "base"

    @property
    def process_id(self) -> int:
        """Id of the first of the server's processes."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    @property
    def processes(self) -> list[int]:
        """Ids of all its processes, the first one first."""
        first = self.process_id
        return [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]

    def start(self) -> None:
        """Start it again after it was stopped or killed."""
        self._run("pg_ctl", "start", "--wait", f"--timeout={STARTS_WITHIN_SECONDS}", f"--log={self._folder / 'log'}")

    def stop(self) -> None:
        """Stop it; clients lose their connections."""
        self._run("pg_ctl", "stop", "--wait", "--mode=fast")

    def kill(self) -> None:
        """End it as a power failure does, without writing anything."""
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    def kill_9(self) -> None:
        """End all its processes at once with SIGKILL."""
        for process_id in self.processes:
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)

    def require_standby(self) -> None:
        """From now on acknowledge no commit before a standby has it on disk."""
        self._configure({"synchronous_standby_names": "*"})
        self._run("pg_ctl", "reload")

    def promote(self) -> None:
        """Make a standby the primary, which needs no standby itself."""
        self._run("pg_ctl", "promote", "--wait")

    def _let_in(self, folder: Path) -> None:
        """Let the server's user use the folder."""
        if os.geteuid() != 0:
            return
        shutil.chown(folder, _ROOT_RUNS_IT_AS, _ROOT_RUNS_IT_AS)
        for parent in folder.parents:
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o001)

    def _configure(self, settings: Mapping[str, Any]) -> None:
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _run(self, program: str, *arguments: str) -> None:
        # Not the argument "user", for which Python forks: the copy of a process with gRPC's threads may crash.
        user = ("setpriv", f"--reuid={_ROOT_RUNS_IT_AS}", f"--regid={_ROOT_RUNS_IT_AS}", "--clear-groups")
        command = [
            *(user if os.geteuid() == 0 else ()),
            *(str(self._programs / program), f"--pgdata={self._data}", *arguments),
        ]
        # A file, because the server keeps the output of the program that starts it.
        with (self._folder / "programs.log").open("ab") as log:
            subprocess.run(
                command,
                check=True,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


@contextmanager
def temporary_server() -> Iterator[PostgresServer]:
    """Run a server in a temporary folder, which is deleted in the end.

    It is no folder of pytest: each pytest that starts, also another one, closes those to the server's user.
    """
    with tempfile.TemporaryDirectory(prefix="facet-postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder) / "server")
        try:
            yield server
        finally:
            server.stop()


def is_installed() -> bool:
    """Tell whether the programs of a server are there."""
    try:
        _programs()
    except FileNotFoundError:
        return False
    return True


def _programs() -> Path:
    """Return the folder with the programs of a server: Debian's newest, or that of the ``pg_ctl`` on the path.

    Raises:
        FileNotFoundError: there is none.
    """
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda found: int(found.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("pg_ctl")
    if found is None:
        raise FileNotFoundError("no PostgreSQL server is installed: apt-get install postgresql")
    return Path(found).resolve().parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A temporary Milvus server from the Python package ``milvus``, for tests and benchmarks."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STARTS_WITHIN_SECONDS = 90

_ETCD = """\
name: default
data-dir: {data}
listen-client-urls: http://127.0.0.1:{client}
advertise-client-urls: http://127.0.0.1:{client}
listen-peer-urls: http://127.0.0.1:{peer}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: default=http://127.0.0.1:{peer}
log-outputs: [{log}]
"""


class MilvusServer:
    """A Milvus on free ports, with all its files in one folder. Clients need :attr:`token`.

    Args:
        folder: created if missing, and not deleted.
        settings: of Milvus, by dotted name.

    Raises:
        ModuleNotFoundError: the package is not installed.
        TimeoutError: Milvus does not start within :data:`STARTS_WITHIN_SECONDS`.
    """

    token = "root:Milvus"  # noqa: S105 - the public default of Milvus
    """Of the user that every new Milvus has."""

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        milvus = importlib.import_module("milvus")
        folder.mkdir(exist_ok=True)
        self._folder = folder
        data = Path(str(milvus.__file__)).parent / "data"
        client, peer = _free_port(), _free_port()
        # By default the embedded etcd listens on fixed ports, which another Milvus may occupy.
        etcd, template = folder / "etcd.yaml", folder / "milvus.template"
        etcd.write_text(_ETCD.format(data=folder / "etcd", client=client, peer=peer, log=folder / "etcd.log"))
        original = (data / "config.yaml.template").read_text()
        template.write_text(original.replace("\netcd:\n", f"\netcd:\n  config:\n    path: {etcd}\n", 1))
        config = milvus.MilvusServerConfig(data_dir=str(folder), template=str(template), etcd_port=client)
        config.glog_conf_file = str(data / "glog.conf")
        config.set("authorization_enabled", True)
        for name, value in (settings or {}).items():
            config.set(name, value)
        self._server = milvus.MilvusServer(config, wait_for_started=False)
        try:
            with warnings.catch_warnings():
                # The package leaves a socket open for each occupied port that it tries.
                warnings.simplefilter("ignore", ResourceWarning)
                self._server.start()
            self._server.wait_started(timeout=STARTS_WITHIN_SECONDS * 1000)
        except BaseException:
            self.stop()
            raise

    @property
    def uri(self) -> str:
        """Address for clients."""
        return f"http://127.0.0.1:{self._server.listen_port}"

    @property
    def process_id(self) -> int:
        """Id of the server's process."""
        return int(self._server.server_proc.pid)

    def kill(self) -> None:
        """Kill the process."""
        self._server.server_proc.kill()
        self._server.server_proc.wait()

    def start_again(self) -> None:
        """Start again on the same ports and files."""
        environment = os.environ | {
            "DEPLOY_MODE": "STANDALONE",
            "LD_LIBRARY_PATH": str(self._folder / "bin"),
            "METRICS_PORT": str(self._server.webservice_port),
            "MILVUS_RUN_DIR": str(self._folder / "run"),
        }
        self._server.server_proc = subprocess.Popen(
            [self._server.get_milvus_executable_path(), "run", "standalone"],
            cwd=self._folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._server.wait_started(timeout=STARTS_WITHIN_SECONDS * 1000)

    def stop(self) -> None:
        """Terminate the process; it is killed after a second."""
        self._server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A Milvus server of one's own, from the package ``milvus``, for tests and measurements."""

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
    """A Milvus on ports that are free, with all its files in a folder. It asks for :attr:`token`.

    Args:
        folder: is made where it is missing, and stays.
        settings: of Milvus, by dotted name.

    Raises:
        ModuleNotFoundError: the package is missing.
        TimeoutError: it does not start within :data:`STARTS_WITHIN_SECONDS`.
    """

    token = "root:Milvus"  # noqa: S105 - Milvus's own, and known to everybody
    """Of the user that every new Milvus has."""

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        milvus = importlib.import_module("milvus")
        folder.mkdir(exist_ok=True)
        self._folder = folder
        data = Path(str(milvus.__file__)).parent / "data"
        client, peer = _free_port(), _free_port()
        # By itself the etcd inside listens on ports that another one on this machine may have.
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
                # It leaves a socket open for every port that is taken.
                warnings.simplefilter("ignore", ResourceWarning)
                self._server.start()
            self._server.wait_started(timeout=STARTS_WITHIN_SECONDS * 1000)
        except BaseException:
            self.stop()
            raise

    @property
    def uri(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.listen_port}"

    @property
    def process_id(self) -> int:
        """Of the one process that it is."""
        return int(self._server.server_proc.pid)

    def kill(self) -> None:
        """End it without a warning."""
        self._server.server_proc.kill()
        self._server.server_proc.wait()

    def start_again(self) -> None:
        """Start it on the same ports and files."""
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
        """End it, with a second's warning."""
        self._server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

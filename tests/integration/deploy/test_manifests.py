"""Servers start with the variables, the flags and the folders that the files in deploy/ give them."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from facet import Client, Unauthenticated
from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from tests.certificates import make_certificate
from tests.deployment import (
    CREDENTIALS,
    DEPLOY,
    ROOT,
    compose,
    compose_environment,
    documents,
    image_environment,
    instructions,
    pod,
    pod_environment,
    resources,
    unit,
    unit_environment,
)

PATIENCE = 60
TOKEN, METRICS_TOKEN = "a-token-of-the-server-0123456789", "a-token-of-the-metrics-0123456789"
KEY = "FACET_TEST_KEY"
STATE = "/var/lib/facet"
LAST_USED = "facet.callers.used.json"
"""A server writes it beside the callers file; where that is read-only, it warns of it once and goes on."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A server that was started as a file in deploy/ says.

    Attributes:
        said: its first line.
        root: the folder that stands for the root of its file system.
        token: a caller's.
    """

    process: subprocess.Popen[str]
    said: Mapping[str, Any]
    root: Path
    token: str

    def client(self, token: str | None = None) -> Client:
        certificate = self.said["configuration"]["server"]["tls_certificate"]
        return Client(
            f"localhost:{self.said['address'].rpartition(':')[2]}",
            token=token,
            root_certificates=Path(certificate).read_bytes() if certificate else None,
        )

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=PATIENCE)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    @property
    def metrics_port(self) -> int:
        return int(self.said["metrics_address"].rpartition(":")[2])

    def written(self) -> list[str]:
        """What lies outside the folders that may be written."""
        return [
            path.relative_to(self.root).as_posix()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
            and path.name != LAST_USED
            and not f"/{path.relative_to(self.root)}".startswith((f"{STATE}/", "/tmp/"))
        ]


Deploy = Callable[[Mapping[str, str], Mapping[str, str], str], Deployed]


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Deploy]:
    """Start a server with variables and files, whose paths begin in an own folder, and on free ports.

    The ports are the only flags that differ from those of the files.
    """
    root = tmp_path / "root"
    processes = []

    def start(environment: Mapping[str, str], files: Mapping[str, str], token: str) -> Deployed:
        for name, text in files.items():
            path = root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            path.chmod(0o440)
        for folder in (STATE, "/tmp", "/models", "/home"):
            (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        ours = {name: f"{root}{value}" if value.startswith("/") else value for name, value in environment.items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
        (command,) = (json.loads(line) for line in instructions("CMD"))
        process = subprocess.Popen(
            [sys.executable, "-m", "facet.cli", *command, "--server.port", "0", "--metrics.port", "0"],
            env=kept | ours | {"PYTHONPATH": str(ROOT), "TMPDIR": f"{root}/tmp", "HOME": f"{root}/home"},
            cwd=root / STATE.lstrip("/"),
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, process.wait(PATIENCE)
        return Deployed(process, json.loads(first), root, token)

    yield start
    for process in processes:
        process.terminate()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    """The files tls.crt and tls.key of a server on localhost."""
    today = datetime.now(UTC)
    chain, key = make_certificate(tmp_path, "server", start=today - timedelta(days=1), end=today + timedelta(days=1))
    return {f"/etc/facet/tls/{name}": file.read_text("utf-8") for name, file in (("tls.crt", chain), ("tls.key", key))}


@pytest.fixture
def administrator(postgres_server: PostgresServer) -> Iterator[dict[str, str]]:
    """The environment of somebody who administers the server; the role and the database of the servers are dropped."""
    import psycopg

    yield {
        **os.environ,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres_server.port),
        "PGPASSWORD": postgres_server.password,
        "POSTGRES_USER": "facet",
    }
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS facet WITH (FORCE)")
        connection.execute("DROP ROLE IF EXISTS facet_server")


@pytest.fixture
def secrets(tmp_path: Path, administrator: dict[str, str], postgres_server: PostgresServer) -> dict[str, str]:
    """The secrets that deploy/make-secrets makes, by name, with a database as compose makes it of them."""
    folder = tmp_path / "deploy"
    folder.mkdir()
    shutil.copy(DEPLOY / "make-secrets", folder)
    subprocess.run([folder / "make-secrets"], check=True, timeout=PATIENCE)
    made = {path.name: path.read_text("utf-8") for path in (folder / "secrets").iterdir()}
    subprocess.run([folder / "make-secrets"], check=True, timeout=PATIENCE)
    assert made == {path.name: path.read_text("utf-8") for path in (folder / "secrets").iterdir()}
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    postgres = compose()["services"]["postgres"]
    (script,) = (volume.split(":")[0] for volume in postgres["volumes"] if "initdb" in volume)
    name = Path(postgres["environment"]["FACET_PASSWORD_FILE"]).name
    subprocess.run(
        [DEPLOY / script],
        env={**administrator, "FACET_PASSWORD_FILE": str(folder / "secrets" / name)},
        check=True,
        timeout=PATIENCE,
    )
    made["postgres_url"] = made["postgres_url"].replace("postgres:5432", f"127.0.0.1:{postgres_server.port}")
    return made


def probes() -> list[str]:
    (container,) = pod()["containers"]
    return [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")]


def must_serve(deployed: Deployed) -> None:
    """Check callers, probes, metrics, what was written, and the end."""
    written = deployed.written()
    with deployed.client(deployed.token) as client:
        client.create_gallery("team")
        assert [each.gallery_id for each in client.list_galleries().galleries] == ["team"]
    with deployed.client() as stranger, pytest.raises(Unauthenticated):
        stranger.list_galleries()
    assert {path: deployed.get(path)[0] for path in probes()} == dict.fromkeys(probes(), 200)
    assert deployed.get("/metrics")[0] == 401
    assert deployed.get("/metrics", Authorization=f"Bearer {METRICS_TOKEN}")[0] == 200
    (health,) = instructions("HEALTHCHECK")
    check = json.loads(health.partition(" CMD ")[2])
    where = {**os.environ, "FACET_METRICS__PORT": str(deployed.metrics_port)}
    assert subprocess.run([sys.executable, *check[1:]], env=where, timeout=PATIENCE, check=False).returncode == 0
    deployed.process.terminate()
    assert deployed.process.wait(PATIENCE) == 0
    probe = subprocess.run(
        [sys.executable, *check[1:]], env=where, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False
    )
    assert probe.returncode == 1
    assert deployed.written() == written


def test_a_server_of_compose_serves(secrets: dict[str, str], deploy: Deploy) -> None:
    names = compose()["services"]["facet"]["secrets"]
    files = {f"/run/secrets/{name}": secrets[name] for name in names} | {"/run/secrets/metrics_token": METRICS_TOKEN}
    must_serve(deploy(image_environment() | compose_environment("compose.yaml"), files, secrets["server_token"]))


def test_a_server_of_compose_with_tls_serves(
    secrets: dict[str, str], deploy: Deploy, certificate: dict[str, str]
) -> None:
    names = compose()["services"]["facet"]["secrets"]
    files = {f"/run/secrets/{name}": secrets[name] for name in names} | {"/run/secrets/metrics_token": METRICS_TOKEN}
    environment = image_environment() | compose_environment("compose.yaml", "compose.tls.yaml")
    must_serve(deploy(environment, files | certificate, secrets["server_token"]))


def test_a_pod_of_kubernetes_serves(
    secrets: dict[str, str], deploy: Deploy, certificate: dict[str, str], tmp_path: Path
) -> None:
    command = ["keys", "create", "--label", "a", "--scope", "admin", "--callers", str(tmp_path / "callers.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    created = subprocess.run(
        [sys.executable, "-m", "facet.cli", *command], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    (volume,) = (each["secret"] for each in pod()["volumes"] if each["name"] == "callers")
    assert volume["secretName"] == "facet-callers"
    files = {
        "/etc/facet/callers/facet.callers.json": (tmp_path / "callers.json").read_text("utf-8"),
        "/etc/facet/secrets/postgres-url": secrets["postgres_url"],
        "/etc/facet/secrets/metrics-token": METRICS_TOKEN,
    }
    deployed = deploy(image_environment() | pod_environment(), files | certificate, created.stdout.strip())
    must_serve(deployed)


def test_a_service_of_systemd_serves(secrets: dict[str, str], deploy: Deploy, certificate: dict[str, str]) -> None:
    credentials = {"server-token": TOKEN, "metrics-token": METRICS_TOKEN, "postgres-url": secrets["postgres_url"]}
    loaded = [line.split(":")[0] for line in unit("network", "postgres")["LoadCredential"]]
    files = {f"{CREDENTIALS}/{name}": credentials[name] for name in loaded}
    must_serve(deploy(unit_environment("network", "postgres"), files | certificate, TOKEN))


def test_the_settings_of_the_systemd_service_are_used(tmp_path: Path) -> None:
    """Its file of settings, with a database in a folder of this test."""
    (command,) = (shlex.split(line) for line in unit()["ExecStart"])
    assert command[1:4] == ["serve", "--json", "--config"]
    text = (DEPLOY / "systemd" / Path(command[4]).name).read_text("utf-8")
    (tmp_path / "facet.toml").write_text(text.replace(STATE, str(tmp_path)), "utf-8")
    flags = ["--config", str(tmp_path / "facet.toml"), "--server.port", "0", "--metrics.port", "0"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    with subprocess.Popen(
        [sys.executable, "-m", "facet.cli", *command[1:3], *flags],
        env=kept | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        process.terminate()
    assert process.returncode == 0
    assert said["address"].startswith("127.0.0.1:")
    assert (tmp_path / "facet.sqlite3").is_file()


def test_pods_are_scaled_by_metrics_that_the_server_has(secrets: dict[str, str], deploy: Deploy, pictures: Any) -> None:
    (rules,) = documents(DEPLOY / "kubernetes" / "prometheus" / "adapter-rules.yaml")
    (rule,) = rules["rules"]["custom"]
    scaled = [
        each["pods"]["metric"]["name"]
        for each in resources()["HorizontalPodAutoscaler"]["spec"]["metrics"]
        if "pods" in each
    ]
    assert scaled == [rule["name"]["as"]]
    query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod").replace("<<.LabelMatchers>>", 'namespace="facet"')
    promql_parser.parse(query)
    promql_parser.parse(rule["seriesQuery"])
    names = compose()["services"]["facet"]["secrets"]
    files = {f"/run/secrets/{name}": secrets[name] for name in names} | {"/run/secrets/metrics_token": METRICS_TOKEN}
    deployed = deploy(image_environment() | compose_environment("compose.yaml"), files, secrets["server_token"])
    with deployed.client(deployed.token) as client:
        client.create_gallery("team")
        client.detect(pictures.yaoming)
        client.analyze_faces(pictures.yaoming)
        client.verify(pictures.yaoming, pictures.yaoming)
        client.identify("team", pictures.yaoming)
    exported = deployed.get("/metrics", Authorization=f"Bearer {METRICS_TOKEN}")[1].decode()
    (methods,) = set(re.findall(r'method=~"(.*?)"', query))
    waited = {f"{each}{{method" for each in re.findall(r"facet_\w+(?={)", query)}
    for name in waited:
        seen = set(re.findall(rf'^{re.escape(name)}="(\w+)".*stage="queue"', exported, re.MULTILINE))
        assert {"Detect", "AnalyzeFaces", "Verify", "Identify"} <= seen & set(methods.split("|")), name

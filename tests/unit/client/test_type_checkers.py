"""A wrong argument fails in mypy and in pyright, before the program runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = '''
"""Right and wrong calls of both clients."""

from pathlib import Path

import grpc

from facet import CENTRAL, AsyncClient, Client, Clinet  # wrong
from facet.v1.gallery_service_pb2 import Gallery
from facet.v1.recognition_service_pb2 import StreamSettings


def blocking(client: Client, file: Path) -> Gallery:
    client.identify("team", file, top_k=3, face=CENTRAL, timeout=2.5)
    client.identify("team", bytearray(b"x"), topk=3)  # wrong
    client.identify("team", file, top_k="3")  # wrong
    client.identify("team", 7)  # wrong
    client.identify("team", file, 3)  # wrong
    client.enroll("team", "ann", file.open("rb"), display_name="Ann")
    client.enroll("team", "ann", file, name="Ann")  # wrong
    client.update_gallery("team", threshold=0.4).thresholds  # wrong
    client.calibrate("team", 0.01, [("ann", file)], dataset="x")  # wrong
    for subject in client.iter_subjects("team", pagesize=3):  # wrong
        print(subject.subject_id)
    for response in client.identify_stream(StreamSettings(gallery_id="team"), []):
        print(response.frame_id, response.frames)  # wrong
    return client.get_gallery("team")


async def asynchronous(client: AsyncClient, file: Path) -> Gallery:
    await client.identify("team", memoryview(b"x"), top_k=3, timeout=None)
    await client.identify("team", file, topk=3)  # wrong
    await client.verify(("team", "ann"), file, threshold="high")  # wrong
    async for subject in client.iter_subjects("team"):
        print(subject.name)  # wrong
    for subject in client.iter_subjects("team"):  # wrong
        pass
    return client.get_gallery("team")  # wrong


def connected(certificate: bytes, key: bytes) -> None:
    Client("localhost:1", root_certificates=certificate, certificate_chain=certificate, private_key=key)
    Client(channel=grpc.insecure_channel("localhost:1"))
    Client(channel=grpc.aio.insecure_channel("localhost:1"))  # wrong
    Client("localhost:1", certificate=certificate)  # wrong
'''
WRONG = {number for number, line in enumerate(PROGRAM.splitlines(), start=1) if line.endswith("# wrong")}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, "utf-8")
    return path


def test_mypy_sees_each_wrong_argument(program: Path) -> None:
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", str(program)]
    run = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=program.parent, timeout=300, check=False
    )
    found = re.findall(r"^program\.py:(\d+): error", run.stdout, re.MULTILINE)
    assert {int(number) for number in found} == WRONG, run.stdout + run.stderr


def test_pyright_sees_each_wrong_argument(program: Path) -> None:
    pytest.importorskip("basedpyright", reason="needs basedpyright: scripts/install dev")
    settings = {"extraPaths": [str(ROOT)], "typeCheckingMode": "standard", "failOnWarnings": False}
    (program.parent / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, str(program)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=program.parent, timeout=300, check=False)
    problems = json.loads(run.stdout)["generalDiagnostics"]
    found = {each["range"]["start"]["line"] + 1 for each in problems if each["severity"] == "error"}
    assert found == WRONG, "\n".join(f"{each['range']['start']['line'] + 1}: {each['message']}" for each in problems)

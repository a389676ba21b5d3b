"""scripts/batch.py as a user runs it: on folders and lists, stopped, killed and continued, with a server restart."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pyarrow.dataset as ds
import pytest

from facet import Client

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT = 120.0
MANY = 60

Batch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def batch(start_script: Callable[..., subprocess.Popen[str]]) -> Batch:
    """Start batch.py."""
    return partial(start_script, "batch.py")


@pytest.fixture
def photos(tmp_path: Path, pictures: Pictures) -> Path:
    """Many pictures of one man in two folders."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(MANY):
        (folder / ("more" if number % 2 else "") / f"{number:03}.jpg").write_bytes(pictures.yaoming)
    return folder


def finished(process: subprocess.Popen[str], given: str | None = None) -> tuple[int, dict[str, Any], str]:
    """Wait for a run, and return its exit code, summary and messages."""
    out, err = process.communicate(given, timeout=TIMEOUT)
    return process.returncode, json.loads(out) if out else {}, err


def rows(out: Path) -> list[dict[str, Any]]:
    if out.suffix == ".jsonl":
        return [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    found: list[dict[str, Any]] = ds.dataset(out, format="parquet").to_table().to_pylist()
    return found


def lines_of(out: Path) -> int:
    """Count the rows that are lines of JSON so far."""
    file = out / "_pending.jsonl" if out.suffix == ".parquet" else out
    return file.read_bytes().count(b"\n") if file.exists() else 0


def wait_for_rows(process: subprocess.Popen[str], out: Path, count: int) -> None:
    end = time.monotonic() + TIMEOUT
    while lines_of(out) < count and process.poll() is None:
        assert time.monotonic() < end


def expected(photos: Path) -> list[str]:
    return sorted(str(path) for path in photos.rglob("*.jpg"))


@pytest.mark.parametrize("name", ["found.jsonl", "found.parquet"])
def test_every_picture_gets_a_row_and_a_bad_one_says_why(
    batch: Batch, server: Serving, team: str, pictures: Pictures, tmp_path: Path, name: str
) -> None:
    files = {
        "yao.jpg": pictures.yaoming,
        "broken.jpg": pictures.yaoming[:500],
        "squad.jpg": pictures.players,
        "wall.png": cv2.imencode(".png", np.full((99, 99, 3), 200, np.uint8))[1].tobytes(),
    }
    folder, out = tmp_path / "photos", tmp_path / name
    folder.mkdir()
    for file, data in files.items():
        (folder / file).write_bytes(data)
    (folder / "gone.jpg").symlink_to("nowhere")
    (folder / "notes.txt").write_text("no picture")
    code, summary, _ = finished(batch(folder, "--gallery", team, "--out", out, "--address", server.address))
    assert code == 1
    by_name = {Path(row["path"]).name: row for row in rows(out)}
    assert by_name.keys() == {*files, "gone.jpg"}
    assert {file: row["error"]["reason"] for file, row in by_name.items() if row["error"]} == {
        "broken.jpg": "INVALID_PICTURE",
        "gone.jpg": "CANNOT_READ",
    }
    (face,) = by_name["yao.jpg"]["faces"]
    assert (face["decision"], face["subject_id"], face["display_name"]) == ("match", "yao", "Yao Ming")
    assert face["similarity"] == face["candidates"][0]["similarity"] > 0.9
    assert face["box"]["x1"] < face["landmarks"]["nose"]["x"] < face["box"]["x2"]
    with Client(server.address) as client:  # an id of another answer, or none, would be refused
        client.report_outcome(team, face["answer_id"], True)
    assert face["review_requested"] is False
    assert (by_name["wall.png"]["faces"], by_name["wall.png"]["width"]) == ([], 99)
    squad = by_name["squad.jpg"]["faces"]
    assert len(squad) > 20
    assert all(each["subject_id"] is None for each in squad if each["decision"] != "match")
    assert (summary["answered"], summary["failed"], summary["left"], summary["faces"]) == (3, 2, 0, len(squad) + 1)
    assert all(row["query"]["gallery"] == team for row in by_name.values())


def test_lists_and_folders_that_overlap_give_each_picture_once(
    batch: Batch, server: Serving, team: str, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found.jsonl"
    names = "\n".join(["photos/000.jpg", "./photos/../photos/002.jpg", "", "photos/missing.jpg"])
    (tmp_path / "list.txt").write_text(f"{photos / '004.jpg'}\n", "utf-8")
    arguments = ("--list", "-", "--list", "list.txt", "photos/more", "--gallery", team, "--out", out)
    code, summary, _ = finished(batch(*arguments, "--address", server.address), names)
    assert (code, summary["errors"]) == (1, {"CANNOT_READ": 1})
    even = [str(photos / name) for name in ("000.jpg", "002.jpg", "004.jpg", "missing.jpg")]
    assert sorted(row["path"] for row in rows(out)) == sorted([*even, *expected(photos / "more")])


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("found.jsonl", signal.SIGINT),
        ("found.jsonl", signal.SIGKILL),
        ("found.parquet", signal.SIGTERM),
        ("found.parquet", signal.SIGKILL),
    ],
)
def test_the_next_run_continues_one_that_was_stopped_or_killed(
    batch: Batch, server: Serving, team: str, photos: Path, tmp_path: Path, name: str, end: signal.Signals
) -> None:
    out = tmp_path / name
    arguments = (photos, "--gallery", team, "--out", out, "--address", server.address)
    first = batch(*arguments)
    wait_for_rows(first, out, 5)
    first.send_signal(end)
    code, summary, messages = finished(first)
    if end is signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert (code, summary["ended"]) == (1, "stopped")
        assert "repeat the command to continue with the" in messages
    code, summary, _ = finished(batch(*arguments))
    assert (code, summary["left"], summary["pictures"]) == (0, 0, MANY)
    assert summary["pictures_now"] < MANY
    assert sorted(row["path"] for row in rows(out)) == expected(photos)
    code, summary, _ = finished(batch(*arguments))
    assert (code, summary["pictures_now"], summary["pictures"]) == (0, 0, MANY)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_restart_loses_no_picture(
    batch: Batch, serve: Serve, pictures: Pictures, photos: Path, tmp_path: Path, end: signal.Signals
) -> None:
    out, flags = tmp_path / "found.jsonl", ("--models.objects", "none")
    serving = serve(*flags)
    with Client(serving.address) as client:
        client.create_gallery("g")
        client.enroll("g", "yao", pictures.yaoming)
    run = batch(photos, "--gallery", "g", "--out", out, "--address", serving.address)
    wait_for_rows(run, out, 5)
    serving.process.send_signal(end)
    serving.process.wait(TIMEOUT)
    assert lines_of(out) < MANY
    again = serve("--server.port", serving.address.rpartition(":")[2], *flags)
    code, summary, messages = finished(run)
    assert (code, summary["pictures"], summary["left"]) == (0, MANY, 0), messages
    assert messages.count("trying again") == 1
    assert sorted(row["path"] for row in rows(out)) == expected(photos)
    again.stop()


def test_answers_are_kept_if_the_server_does_not_come_back(
    batch: Batch, serve: Serve, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found.jsonl"
    serving = serve("--models.objects", "none")
    with Client(serving.address) as client:
        client.create_gallery("g")
    run = batch(photos, "--gallery", "g", "--out", out, "--address", serving.address, "--wait", 0)
    wait_for_rows(run, out, 5)
    serving.process.kill()
    code, summary, messages = finished(run)
    assert code == 1
    assert summary["pictures"] == len(rows(out)) == MANY - summary["left"]
    assert "repeat the command to continue with the" in messages


def test_an_output_of_another_query_or_program_is_refused_unchanged(
    batch: Batch, server: Serving, client: Client, team: str, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found.jsonl"
    arguments = (photos / "000.jpg", "--address", server.address, "--out", out)
    assert finished(batch(*arguments, "--gallery", team))[0] == 0
    before = out.read_bytes()
    for other in (("--gallery", team, "--top-k", 1), ("--gallery", client.create_gallery("").gallery_id)):
        code, _, message = finished(batch(*arguments, *other))
        assert (code, out.read_bytes()) == (2, before)
        assert f"{out} was made with gallery {team}" in message
    for foreign in (b"hello", b'{"path": "x"}\n', b"a,b\n1,2\n"):
        out.write_bytes(foreign)
        code, _, message = finished(batch(*arguments, "--gallery", team))
        assert (code, out.read_bytes()) == (2, foreign)
        assert "was not written by a batch" in message


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere",), 2, "cannot read nowhere"),
        (("--list", "nowhere.txt"), 2, "cannot read nowhere.txt"),
        ((), 2, "there are no pictures"),
        (("photos", "--gallery", "no-such-gallery"), 1, "GALLERY_NOT_FOUND"),
        (("photos", "--out", "found.csv"), 2, "ends neither in .parquet nor in .jsonl"),
        (("photos", "--out", "no-such-folder/found.jsonl"), 1, "cannot write no-such-folder/found.jsonl"),
    ],
)
def test_a_run_that_cannot_start_says_why(
    batch: Batch, server: Serving, team: str, photos: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    defaults = ("--gallery", team, "--out", "found.jsonl", "--address", server.address)
    ended, _, message = finished(batch(*defaults, *arguments))
    assert ended == code
    assert said in message
    assert not (photos.parent / "found.jsonl").exists()

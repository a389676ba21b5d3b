"""camera.py and bench.py stream: films, a camera that goes away, a server that restarts, and outputs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from facet import Client

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 120.0
WIDTH, HEIGHT, FPS = 640, 360, 10
SUMMARY = {"sent", "answered", "failed", "dropped", "fps", "age_p50_ms", "age_p95_ms", "events", "people", "ended"}

Camera = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def camera(start_script: Callable[..., subprocess.Popen[str]]) -> Camera:
    """Start camera.py."""
    return partial(start_script, "camera.py")


@pytest.fixture(scope="module")
def scenes(pictures: Pictures) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """A wall, then a man who walks along it, then the wall again; 4 seconds."""
    wall = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    man = np.asarray(cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    height, width = man.shape[:2]
    frames = [wall] * 5
    for step in range(12):
        frame = wall.copy()
        frame[40 : 40 + height, 150 + 6 * step : 150 + 6 * step + width] = man
        frames.append(frame)
    return frames + [wall] * 23


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, scenes: list[np.ndarray[Any, np.dtype[np.uint8]]]) -> Path:
    """The scenes as a file."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for frame in scenes:
        writer.write(frame)
    writer.release()
    return path


class WebCamera(ThreadingHTTPServer):
    """A camera that sends the same picture as MJPEG over HTTP until it is switched off.

    Args:
        picture: the JPEG.
        port: 0 for a free one.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, picture: bytes, port: int = 0) -> None:
        self.picture, self.is_off = picture, threading.Event()
        super().__init__(("127.0.0.1", port), _WebCameraRequest)
        self._serving = threading.Thread(target=self.serve_forever)
        self._serving.start()

    @property
    def address(self) -> str:
        return f"http://user:secret@127.0.0.1:{self.server_port}/video"

    def switch_off(self) -> None:
        self.is_off.set()
        self.shutdown()
        self._serving.join(PATIENCE)
        self.server_close()


class _WebCameraRequest(BaseHTTPRequestHandler):
    server: WebCamera

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(self.server.picture)
        try:
            while not self.server.is_off.wait(1 / FPS):
                self.wfile.write(part + self.server.picture + b"\r\n")
        except OSError:
            pass  # the reader is gone

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def finished(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """The exit code, the summary and the messages of a run."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, json.loads(out) if out else {}, err


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def wait_for(process: subprocess.Popen[str], happened: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            pytest.fail(f"the process has ended: {process.communicate()}")
        assert time.monotonic() < end


def test_a_lossless_film_gives_the_same_events_in_every_run(
    camera: Camera, server: Serving, team: str, film: Path, tmp_path: Path
) -> None:
    runs = []
    for number in range(2):
        file, out = tmp_path / f"{number}.jsonl", tmp_path / f"{number}.mp4"
        run = camera(film, "--lossless", "--gallery", team, "--events", file, "--out", out, "--address", server.address)
        code, summary, messages = finished(run)
        assert code == 0, messages
        assert summary.keys() >= SUMMARY
        assert (summary["answered"], summary["failed"], summary["dropped"], summary["ended"]) == (40, 0, 0, "")
        (person,) = summary["people"]
        assert (person["subject_id"], person["display_name"]) == ("yao", "Yao Ming")
        assert 0.5 <= person["first_seconds"] <= person["last_seconds"] < 3.5
        runs.append(file.read_bytes())
        video = cv2.VideoCapture(str(out))
        assert (video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS)) == (40, FPS)
    assert runs[0] == runs[1]
    events = rows(tmp_path / "0.jsonl")
    assert [row["event"] for row in events] == ["appeared", "identified", "left"]
    assert {row["subject_id"] for row in events[1:]} == {"yao"}
    assert events[0]["seconds"] == pytest.approx(0.5, abs=0.11)


def test_a_film_that_is_played_identifies_people_and_measures_ages(
    camera: Camera, server: Serving, team: str, film: Path
) -> None:
    code, summary, messages = finished(camera(film, "--gallery", team, "--address", server.address, "--fps", FPS))
    assert code == 0, messages
    assert summary["sent"] == summary["answered"] + summary["dropped"]
    assert [person["subject_id"] for person in summary["people"]] == ["yao"]
    assert 0 < summary["age_p50_ms"] <= summary["age_p95_ms"]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_camera_that_goes_away_is_tried_again_until_the_user_stops_it(
    camera: Camera, server: Serving, team: str, scenes: list[Any], tmp_path: Path, end: signal.Signals
) -> None:
    picture = cv2.imencode(".jpg", scenes[8])[1].tobytes()
    web = WebCamera(picture)
    file, out = tmp_path / "events.jsonl", tmp_path / "out.mp4"
    arguments = ("--gallery", team, "--events", file, "--out", out, "--name", "door", "--address", server.address)
    run = camera(web.address, *arguments)
    try:
        wait_for(run, lambda: any(row["event"] == "identified" for row in rows(file)))
    finally:
        web.switch_off()
    assert run.stderr is not None
    assert run.stderr.readline() == "127.0.0.1/video is away: trying again\n"
    again = WebCamera(picture, web.server_port)
    try:
        assert run.stderr.readline() == "127.0.0.1/video is back\n"
        run.send_signal(end)
        code, summary, messages = finished(run)
    finally:
        again.switch_off()
    assert (code, summary["ended"], messages) == (0, "", "")
    assert "secret" not in json.dumps(summary)
    assert {row["camera"] for row in rows(file)} == {"door"}
    assert all(row["time"].endswith("+00:00") for row in rows(file))
    assert cv2.VideoCapture(str(out)).read()[0], "the video was closed"


def test_a_camera_that_is_gone_ends_its_tracks_while_it_is_tried_again(
    camera: Camera, server: Serving, team: str, scenes: list[Any], tmp_path: Path
) -> None:
    picture, file = cv2.imencode(".jpg", scenes[8])[1].tobytes(), tmp_path / "events.jsonl"
    web = WebCamera(picture)
    run = camera(web.address, "--gallery", team, "--events", file, "--address", server.address)
    try:
        wait_for(run, lambda: any(row["event"] == "identified" for row in rows(file)))
    finally:
        web.switch_off()
    wait_for(run, lambda: rows(file)[-1]["event"] == "left")
    left = rows(file)[-1]
    assert (left["track_id"], left["subject_id"], left["connection"]) == (1, "yao", 1)
    again = WebCamera(picture, web.server_port)
    try:
        wait_for(run, lambda: rows(file)[-1]["event"] == "identified")
    finally:
        again.switch_off()
    events = [(row["event"], row["connection"], row["track_id"]) for row in rows(file)]
    assert events == [(kind, 1, 1) for kind in ("appeared", "identified", "left")] + [
        (kind, 2, 1) for kind in ("appeared", "identified")
    ]
    run.send_signal(signal.SIGINT)
    code, summary, _ = finished(run)
    assert (code, summary["connections"], summary["failed"]) == (0, 2, 0)


def test_a_camera_that_does_not_come_back_ends_its_tracks_and_the_command(
    camera: Camera, server: Serving, team: str, scenes: list[Any], tmp_path: Path
) -> None:
    web, file = WebCamera(cv2.imencode(".jpg", scenes[8])[1].tobytes()), tmp_path / "events.jsonl"
    run = camera(web.address, "--gallery", team, "--events", file, "--wait", 0, "--address", server.address)
    try:
        wait_for(run, lambda: any(row["event"] == "identified" for row in rows(file)))
    finally:
        web.switch_off()
    code, summary, _ = finished(run)
    assert code == 1
    assert summary["ended"].startswith("127.0.0.1/video did not come back")
    assert [row["event"] for row in rows(file)] == ["appeared", "identified", "left"]


def test_a_film_that_ends_with_somebody_in_view_ends_the_track(
    camera: Camera, server: Serving, team: str, scenes: list[Any], tmp_path: Path
) -> None:
    film, file = tmp_path / "short.avi", tmp_path / "events.jsonl"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT))
    for frame in scenes[:12]:
        writer.write(frame)
    writer.release()
    code, summary, messages = finished(
        camera(film, "--lossless", "--gallery", team, "--events", file, "--address", server.address)
    )
    assert (code, summary["answered"]) == (0, 12), messages
    left = rows(file)[-1]
    assert (left["event"], left["subject_id"], left["frame_id"]) == ("left", "yao", 12)
    assert left["seconds"] == pytest.approx(1.1, abs=0.01)


def test_events_on_standard_output_are_alone_there(
    run_script: Callable[..., subprocess.CompletedProcess[str]], server: Serving, team: str, film: Path
) -> None:
    done = run_script("camera.py", film, "--lossless", "--gallery", team, "--events", "-", "--address", server.address)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events == ["appeared", "identified", "left"]
    assert "Yao Ming" in done.stderr, "the summary"


def test_a_restarted_server_is_found_again_and_no_frame_of_a_film_is_lost(
    camera: Camera, serve: Serve, pictures: Pictures, film: Path, tmp_path: Path
) -> None:
    file, flags = tmp_path / "events.jsonl", ("--models.objects", "none")
    serving = serve(*flags)
    with Client(serving.address) as client:
        client.create_gallery("g")
        client.enroll("g", "yao", pictures.yaoming)
    run = camera(film, "--lossless", "--gallery", "g", "--events", file, "--address", serving.address)
    wait_for(run, lambda: rows(file))
    serving.process.send_signal(signal.SIGKILL)
    serving.process.wait(PATIENCE)
    again = serve("--server.port", serving.address.rpartition(":")[2], *flags)
    code, summary, messages = finished(run)
    assert (code, summary["answered"], summary["sent"], summary["ended"]) == (0, 40, 40, ""), messages
    assert messages.count("trying again") == messages.count("the server is back") == 1
    assert summary["connections"] == 2
    assert [person["subject_id"] for person in summary["people"]] == ["yao"]
    again.stop()


def test_a_server_that_does_not_come_back_ends_the_command(
    camera: Camera, serve: Serve, pictures: Pictures, film: Path, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    serving = serve("--models.objects", "none")
    with Client(serving.address) as client:
        client.create_gallery("g")
    run = camera(film, "--lossless", "--gallery", "g", "--events", file, "--address", serving.address, "--wait", 0)
    wait_for(run, lambda: rows(file))
    serving.process.kill()
    code, summary, _ = finished(run)
    assert code == 1
    # A server that dies while a connection is made closes it; one that is gone does not answer.
    assert summary["ended"].startswith(("no server answers at", "no connection to the server at")), summary["ended"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere.mp4",), 2, "there is no file nowhere.mp4"),
        (("0", "--lossless"), 2, "--lossless is for files"),
        (("film.mp4", "--events", "-"), 2, "--json and --events - both write to standard output"),
        (("film.mp4", "--out", "out.gif"), 1, "the name of a video ends in .mp4"),
        (("notes.txt",), 1, "cannot open notes.txt: it is no video"),
        (("rtsp://user:secret@127.0.0.1:9/stream",), 1, "cannot open 127.0.0.1:9/stream: the connection is refused"),
        (("film.mp4", "--gallery", "no-such-gallery"), 1, "GALLERY_NOT_FOUND"),
        (("film.mp4", "--out", "no-such-folder/out.mp4"), 1, "cannot write no-such-folder/out.mp4"),
        (("film.mp4", "--events", "."), 1, "cannot write ."),
        (("film.mp4", "--address", "127.0.0.1:9"), 1, "no server answers at 127.0.0.1:9"),
    ],
)
def test_a_command_that_cannot_start_says_why(
    camera: Camera,
    server: Serving,
    team: str,
    film: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    (tmp_path / "film.mp4").symlink_to(film)
    (tmp_path / "notes.txt").write_text("no film")
    ended, _, message = finished(camera("--gallery", team, "--address", server.address, *arguments))
    assert ended == code
    assert said in message
    assert "secret" not in message
    assert "Traceback" not in message


@pytest.mark.skipif(bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")), reason="there is a screen")
def test_a_window_without_a_screen_is_refused_with_an_alternative(
    camera: Camera, server: Serving, team: str, film: Path
) -> None:
    code, _, message = finished(camera(film, "--show", "--gallery", team, "--address", server.address))
    assert code == 1
    assert "--show needs a screen" in message
    assert "--out" in message


def test_bench_stream_measures_cameras_on_one_server(
    run_script: Callable[..., subprocess.CompletedProcess[str]], film: Path
) -> None:
    done = run_script(
        "bench.py", "stream", "--cameras", 2, "--fps", 3, "--width", 320, "--seconds", 3, "--video", film, "--json"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    judged = {"cameras", "fps_in", "fps_answered", "age_p95_ms", "dropped", "embeddings_per_frame"}
    assert report.keys() >= judged | {"age_p50_ms", "age_p99_ms"}
    assert (report["cameras"], report["fps_in"], report["sent"], report["width"]) == (2, 6.0, 18, 320)
    assert report["answered"] + report["dropped"] == report["sent"]
    assert report["failed"] == {}

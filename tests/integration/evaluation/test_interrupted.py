"""evaluate.py when the server goes away, a picture disappears, or one does not fit into a request."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import grpc
import numpy as np
import pytest

from facet import Client

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving


Run = Callable[..., "subprocess.CompletedProcess[str]"]
GalleriesLeft = Callable[[], list[str]]
Refusal = Callable[[str, int], grpc.StatusCode | None]
"""The status to refuse a call with, by method and number of earlier calls with pictures; ``None`` to pass it on."""
Proxy = Callable[[Refusal], str]


@pytest.fixture
def proxy(server: Serving) -> Iterator[Proxy]:
    """Start a proxy in front of the server that refuses some calls. Returns its address."""
    started: list[grpc.Server] = []
    with grpc.insecure_channel(server.address) as channel:

        def start(refusal: Refusal) -> str:
            numbers = count()

            class Handler(grpc.GenericRpcHandler):
                def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
                    method = details.method
                    onward = channel.unary_unary(method, lambda sent: sent, lambda received: received)

                    def pass_on(request: bytes, context: grpc.ServicerContext) -> bytes:
                        has_picture = "Recognition" in method or method.endswith("/EnrollFace")
                        code = refusal(method, next(numbers) if has_picture else -1)
                        if code is not None:
                            context.abort(code, "refused")
                        answer: bytes = onward(request)
                        return answer

                    return grpc.unary_unary_rpc_method_handler(pass_on)

            refusing = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
            port = refusing.add_insecure_port("127.0.0.1:0")
            refusing.start()
            started.append(refusing)
            return f"127.0.0.1:{port}"

        yield start
        for each in started:
            each.stop(None).wait()


def after(calls: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> Refusal:
    """Refuse every call with a picture after the first ones."""
    return lambda _, number: code if number >= calls else None


def deleting(picture: Path) -> Refusal:
    """Refuse nothing, but delete another picture at the first call with a picture."""

    def refusal(_: str, number: int) -> None:
        if number == 0:
            picture.unlink()

    return refusal


@pytest.fixture
def images(tmp_path: Path, pictures: Pictures) -> Path:
    """Six pictures each of two people."""
    folder = tmp_path / "images"
    for name, encoded in (("yao", pictures.yaoming), ("six", pictures.six)):
        original = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
        assert original is not None
        (folder / name).mkdir(parents=True)
        for number in range(1, 7):
            cv2.imwrite(str(folder / name / f"{number}.png"), cv2.convertScaleAbs(original, alpha=1 - number * 0.04))
    return folder


PAIRS = (
    "image_a,image_b,same",
    *(f"{who}/{number}.png,{who}/{number + 1}.png,1" for number in range(1, 6) for who in ("yao", "six")),
    *(f"yao/{number}.png,six/{number}.png,0" for number in range(1, 7)),
)
PROTOCOL = (
    "role,subject,image",
    *(f"gallery,{who},{who}/1.png" for who in ("yao", "six")),
    *(f"mated,{who},{who}/{number}.png" for number in range(2, 7) for who in ("yao", "six")),
)
FACES = tuple(
    line
    for number in range(1, 7)
    for who in ("yao", "six")
    for line in (f"{who}/{number}.png", "1", "75 75 100 140 0 0 0 0 0 0")
)


def command(kind: str, images: Path) -> tuple[object, ...]:
    """A command of evaluate.py on these pictures; writes its labels."""
    flag, lines = {
        "verification": ("--pairs", PAIRS),
        "identification": ("--protocol", PROTOCOL),
        "detection": ("--labels", FACES),
        "latency": ("", ()),
    }[kind]
    labels = images.parent / ("labels.txt" if kind == "detection" else "labels.csv")
    labels.write_text("\n".join(lines), "utf-8")
    return kind, *((flag, labels) if flag else ("--rounds", 1)), "--images", images, "--json"


@pytest.mark.parametrize(
    ("kind", "calls", "done", "of"),
    [("verification", 4, 4, 38), ("identification", 6, 6, 12), ("detection", 5, 5, 12), ("latency", 6, 5, 12)],
)
def test_a_server_that_goes_away_leaves_a_partial_report(
    run: Run,
    proxy: Proxy,
    galleries_left: GalleriesLeft,
    images: Path,
    tmp_path: Path,
    kind: str,
    calls: int,
    done: int,
    of: int,
) -> None:
    folder = tmp_path / "report"
    ended = run(*command(kind, images), "--address", proxy(after(calls)), "--report", folder)
    assert ended.returncode == 1
    report = json.loads(ended.stdout)
    assert (report["partial"], report["reason"], report["done"], report["of"]) == (True, "UNAVAILABLE", done, of)
    said = f"the server went away at {report['stopped_at']}: the figures cover the {done} of {of}"
    assert said in ended.stderr
    assert said in (folder / "report.html").read_text("utf-8")
    assert json.loads((folder / "report.json").read_text("utf-8")) == report
    assert galleries_left() == []


def test_partial_figures_cover_what_was_done(run: Run, proxy: Proxy, images: Path) -> None:
    address = proxy(after(6))
    verified = json.loads(run(*command("verification", images), "--address", address).stdout)
    assert verified["pairs"] == verified["genuine"] + verified["impostors"] < 16
    identified = json.loads(run(*command("identification", images), "--address", proxy(after(6))).stdout)
    assert (identified["mated"], identified["rank_1"]["value"], len(identified["items"])) == (4, 1.0, 4)
    timed = json.loads(run(*command("latency", images), "--address", proxy(after(6))).stdout)
    assert (timed["calls"], timed["images"]) == (5, 5)


def test_a_server_that_refuses_everything_is_not_reported_as_gone(run: Run, proxy: Proxy, images: Path) -> None:
    address = proxy(after(6, grpc.StatusCode.UNAUTHENTICATED))
    ended = run(*command("identification", images), "--address", address)
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["reason"] == "UNAUTHENTICATED"
    assert "the server answered UNAUTHENTICATED at " in ended.stderr


def test_a_server_that_goes_away_during_the_checks_leaves_all_pairs(run: Run, proxy: Proxy, images: Path) -> None:
    embedded = 22  # pictures in their roles: references and probes
    ended = run(*command("verification", images), "--address", proxy(after(embedded + 3)))
    report = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert (report["done"], report["of"], report["verify_checked"]) == (embedded + 3, embedded + 16, 3)
    assert report["pairs"] == 16


@pytest.mark.parametrize("kind", ["verification", "identification", "detection"])
def test_a_picture_that_disappears_counts_as_missed(
    run: Run, proxy: Proxy, galleries_left: GalleriesLeft, images: Path, kind: str
) -> None:
    ended = run(*command(kind, images), "--address", proxy(deleting(images / "six" / "6.png")))
    assert ended.returncode == 1
    report = json.loads(ended.stdout)
    assert report["refused"] == [{"image": "six/6.png", "reason": "UNREADABLE"}]
    assert report["partial"] is False
    counted = {"verification": "pairs_refused", "identification": "failed_to_search", "detection": "false_positives"}
    assert report[counted[kind]] >= 1
    assert {"verification": 16, "identification": 10, "detection": 12}[kind] == report[
        {"verification": "pairs", "identification": "mated", "detection": "images"}[kind]
    ]
    assert "refused: six/6.png: UNREADABLE" in ended.stderr
    assert "1 picture was refused; the figures count them as missed" in ended.stderr
    assert galleries_left() == []


def test_probes_of_a_subject_whose_picture_disappears_count_as_missed(run: Run, proxy: Proxy, images: Path) -> None:
    lines = list(PROTOCOL)
    lines[1:3] = [f"gallery,yao,yao/{number}.png" for number in range(1, 6)] + ["gallery,six,six/1.png"]
    arguments = command("identification", images)
    (images.parent / "labels.csv").write_text("\n".join(lines), "utf-8")
    ended = run(*arguments, "--address", proxy(deleting(images / "six" / "1.png")))
    assert ended.returncode == 1
    report = json.loads(ended.stdout)
    assert report["not_enrolled"] == [{"image": "six/1.png", "subject": "six", "reason": "UNREADABLE"}]
    assert (report["subjects_not_enrolled"], report["rank_1"]["value"]) == (1, 0.5)


def test_a_refused_picture_is_left_out_of_latency_and_named(run: Run, server: Serving, images: Path) -> None:
    (images / "six" / "7.jpg").write_bytes(b"broken")
    ended = run(*command("latency", images), "--address", server.address)
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["calls"] == 12
    assert "1 picture was refused; the figures leave them out" in ended.stderr


@pytest.mark.parametrize("kind", ["identification", "latency"])
def test_a_gallery_that_could_not_be_deleted_fails_the_run(
    run: Run, proxy: Proxy, client: Client, galleries_left: GalleriesLeft, images: Path, kind: str
) -> None:
    def refusal(method: str, _: int) -> grpc.StatusCode | None:
        return grpc.StatusCode.ABORTED if method.endswith("DeleteGallery") else None

    ended = run(*command(kind, images), "--address", proxy(refusal))
    (left,) = galleries_left()
    client.delete_gallery(left, force=True)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [f"the gallery {left} could not be deleted"]


def test_a_picture_that_does_not_fit_into_a_request_is_refused_alone(run: Run, serve: Serve, images: Path) -> None:
    largest = max(path.stat().st_size for path in images.rglob("*.png"))
    serving = serve("--server.max-message-bytes", str(max(2**16, largest + 4096)))
    side = int(max(2**16, largest) ** 0.5)
    noise = np.random.default_rng(0).integers(255, size=(side, side, 3), dtype=np.uint8)
    for name in ("yao/7.png", "six/7.png"):
        cv2.imwrite(str(images / name), noise)
    arguments = command("identification", images)
    with (images.parent / "labels.csv").open("a", encoding="utf-8") as labels:
        labels.write("\ngallery,yao,yao/7.png\nmated,six,six/7.png\n")
    ended = run(*arguments, "--address", serving.address)
    assert ended.returncode == 1
    report = json.loads(ended.stdout)
    assert report["refused"] == [{"image": name, "reason": "PICTURE_TOO_LARGE"} for name in ("yao/7.png", "six/7.png")]
    assert (report["partial"], report["mated"], report["rank_1"]["value"]) == (False, 11, pytest.approx(10 / 11))


def test_two_runs_refuse_the_same_look_alikes(run: Run, server: Serving, images: Path) -> None:
    arguments = command("identification", images)
    lines = ["role,subject,image", *(f"gallery,{number},yao/{number}.png" for number in range(1, 7))]
    (images.parent / "labels.csv").write_text("\n".join([*lines, "mated,1,yao/2.png"]), "utf-8")
    for _ in range(2):
        ended = run(*arguments, "--refuse-lookalike", "--address", server.address)
        assert ended.returncode == 0, ended.stderr
        refused = json.loads(ended.stdout)["not_enrolled"]
        assert [each["subject"] for each in refused] == ["2", "3", "4", "5", "6"]
        assert {each["reason"] for each in refused} == {"LOOKS_LIKE_ANOTHER_SUBJECT"}

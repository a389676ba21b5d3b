"""The page of a report, opened in a browser without a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facet.evaluation.calls import Stopped
from facet.evaluation.intervals import Figure, none
from facet.evaluation.report.document import Report, document

pytest.importorskip("jinja2", reason="needs the extra evaluation: scripts/install evaluation")
pytest.importorskip("matplotlib", reason="needs the extra evaluation: scripts/install evaluation")

from facet.evaluation.report.html import render

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions", "--hide-scrollbars"),
    *("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--window-size=1200,2600"),
)
HOSTILE = """<img src=x onerror="alert('1')"></span>.png"""
PROVENANCE = {
    "models": {"embedding": {"name": "w600k_mbf.onnx", "sha256": "9cc6", "head": "arcface"}},
    "contract": "be16",
    "configuration": {"face": "central", "server": {"default_threshold": 0.34}},
    "data_set": {"labels": "pairs.csv", "sha256": "5e7", "pictures": 7},
    "software": {"facet": "0.1.0", "server": {"numpy": "2.0"}},
    "processor": "a processor",
    "seed": 0,
}
RATES = np.geomspace(1e-3, 1, 50)
HISTOGRAM = {"edges": np.linspace(-1, 1, 41), "counts": np.arange(40)}
PARTS: dict[str, dict[str, Any]] = {
    "verification": {
        "figures": {"accuracy": Figure(0.9983, 0.9961, 0.9993), "tar@far=1e-6": none("too few impostors: 3000")},
        "curves": {
            "roc": {"x": RATES, "y": 1 - 0.01 * (1 - RATES)},
            "det": {"x": RATES, "y": 0.01 * (1 - RATES)},
            "scores_genuine": HISTOGRAM,
            "scores_impostor": HISTOGRAM,
        },
        "tables": {"folds": [{"fold": 1, "accuracy": 0.99, "threshold": None}]},
        "mistakes": {"false_matches": [{"image_a": "a.png", "image_b": "gone.png", "similarity": 0.4, "failure": ""}]},
        "stopped": Stopped("b.png", 5, 7, "UNAVAILABLE"),
        "refused": [{"image": "<script>.png", "reason": "INVALID_PICTURE"}],
    },
    "identification": {
        "figures": {"rank_1": Figure(0.99, 0.98, 1.0), "fpir": Figure(0.01, 0.005, 0.02), "nonmated": 1000},
        "curves": {"det": {"x": RATES, "y": 0.1 * (1 - RATES)}, "scores_mated": HISTOGRAM},
        "tables": {
            "by_gallery_size": [
                {"subjects": size, "fpir": Figure(size * 1e-5, 0, size * 2e-5), "fpir_if_independent": size * 1e-5}
                for size in (10, 100, 1000)
            ]
        },
        "mistakes": {
            "misses": [{"image": "a.png", "candidate_image": "c.png", "mate_image": "b.png", "similarity": 0.1}],
            "false_positives": [{"image": HOSTILE, "subject": HOSTILE, "candidate": HOSTILE, "candidate_image": None}],
        },
        "groups": {
            HOSTILE: {
                "rows": [
                    {
                        "group": group,
                        "subjects": 40,
                        "fnir": figure,
                        "fnir_errors": 4,
                        "fnir_trials": 80,
                        "fnir_people": 40,
                        "fnir_verdict": verdict,
                    }
                    for group, figure, verdict in (
                        (HOSTILE, Figure(0.05, 0.01, 0.09), "higher"),
                        ("$a$ b$", Figure(0.01, 0.0, 0.02), "within chance"),
                        ("few", none("too few people: 4, at least 10 needed"), None),
                    )
                ],
                "rates": {
                    "fnir": {
                        "ratio": Figure(4.25, 1.5, 9.0),
                        "to_mean": Figure(2.0, 1.1, 3.0),
                        "highest": HOSTILE,
                        "lowest": "$a$ b$",
                        "p": 0.0123,
                        "beyond_chance": True,
                    }
                },
                "not_stated": [HOSTILE],
                "of": {HOSTILE: "not stated"},
            }
        },
    },
    "detection": {
        "figures": {"ap50": Figure(0.888, 0.865, 0.912), "task": "faces"},
        "curves": {
            "precision_recall": {"x": RATES, "y": 1 - RATES},
            "score_sweep": {"x": RATES, "series": {"f1": RATES}, "mark": 0.4, "label": "minimum score"},
        },
        "mistakes": {"false_positives": [{"image": "a.png", "box": [10.0, 10.0, 60.0, 60.0], "score": 0.7}]},
    },
    "latency": {
        "figures": {"p50_ms": Figure(12.5, 11.0, 14.0), "calls": 100},
        "curves": {"waiting_call": {"x": RATES * 100, "y": RATES, "label": "the call"}},
        "tables": {"stages": [{"stage": "decode", "p50_ms": 1.0}]},
    },
    "tracks": {
        "figures": {"named_share": Figure(0.9375, None, None, "one person alone"), "id_switches": 3},
        "curves": {
            "timeline": {
                "end": 9.0,
                "rows": [
                    {"name": HOSTILE, "visible": [[0, 2]], "hidden": [[2, 3]], "named": [[0.5, 3]], "false": []},
                    {"name": "$a$ b$", "visible": [], "hidden": [], "named": [], "false": [[4, 5.5]]},
                    {"name": "strangers", "visible": [[3, 9]]},
                ],
            }
        },
        "tables": {"presences": [{"subject": HOSTILE, "identified_after": 0.5}], "false_names": []},
    },
}
SHOWN = {
    "verification": ("0.9983", "0.9961 to 0.9993", "too few impostors: 3000", "Partial:", "&lt;script&gt;.png"),
    "identification": (
        *("0.9900", "0.0050 to 0.0200", "Error against the size of the gallery", "max/min 4.25 (1.50 to 9.00)"),
        *("beyond chance (p = 0.0123)", "too few people: 4<", "not stated: 1 of 1 subjects"),
        *("<td>4 of 80, 40 people</td>", "add half an error", "no proof that the groups are equal"),
    ),
    "detection": ("0.8880", "Precision and recall", "Score sweep"),
    "latency": ("12.5", "How long calls take", "decode"),
    "tracks": ("0.9375", "one person alone", "Who was there, and who was named", "$a$ b$", "strangers"),
}
PLOTS = {"verification": 3, "identification": 4, "detection": 2, "latency": 1, "tracks": 1}


class Silent(SimpleHTTPRequestHandler):
    """Serves a folder without logging requests."""

    def log_message(self, *_: object) -> None:
        pass


def report_of(kind: Any) -> Report:
    parts = dict(PARTS[kind])
    times = {"date": "2025-01-01T00:00:00+00:00", "seconds": 1.0}
    return document(kind, parts.pop("figures"), provenance=PROVENANCE, times=times, **parts)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.random.default_rng(0).integers(255, size=(120, 90, 3), dtype=np.uint8))
    return folder


def files(images: Path) -> dict[str, Path]:
    return {path.name: path for path in images.iterdir()}


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"needs a browser: {', '.join(BROWSERS)}")
    return found


@pytest.fixture
def opened(browser: str, tmp_path: Path) -> Iterator[Callable[[str], tuple[str, set[str], Path]]]:
    """Open a page: its text as rendered, the URLs that it requested, and a screenshot."""
    site = tmp_path / "site"
    site.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{server.server_port}"

        def browse(name: str, *flags: str) -> str:
            profile = f"--user-data-dir={tmp_path / 'profile'}"
            command = [browser, *QUIET, profile, *flags, f"{origin}/{name}"]
            return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

        def load(page: str) -> tuple[str, set[str], Path]:
            (site / "page.html").write_text(page, "utf-8")
            seen = browse("page.html", "--dump-dom", f"--log-net-log={tmp_path / 'net.json'}")
            picture = tmp_path / "page.png"
            browse("page.html", f"--screenshot={picture}")
            events = json.loads((tmp_path / "net.json").read_text("utf-8"))["events"]
            requests = [each.get("params", {}) for each in events]
            return seen, {each["url"] for each in requests if each.get("initiator") == origin}, picture

        yield load
        server.shutdown()


@pytest.mark.parametrize("kind", PARTS)
def test_a_page_shows_its_figures_and_requests_nothing(
    kind: str, opened: Callable[[str], tuple[str, set[str], Path]], images: Path
) -> None:
    text, requested, screenshot = opened(render(report_of(kind), files(images)))
    assert requested == set()
    for shown in SHOWN[kind]:
        assert shown in text
    assert text.count("<svg") == PLOTS[kind]
    pixels = cv2.imread(str(screenshot))
    assert pixels is not None
    assert 0.005 < float((pixels < 200).mean()) < 0.6


def test_requests_of_a_page_are_noticed(opened: Callable[[str], tuple[str, set[str], Path]]) -> None:
    _, requested, _ = opened('<img src="/a.png"><img src="http://example.org/b.png">')
    assert {url.rpartition("/")[2] for url in requested} >= {"a.png", "b.png"}


@pytest.mark.parametrize("kind", PARTS)
def test_the_same_report_gives_the_same_page_without_external_references(kind: str, images: Path) -> None:
    page = render(report_of(kind), files(images))
    assert page == render(report_of(kind), files(images))
    referenced = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(each.startswith(("data:", "#")) for each in referenced)


def test_every_reference_in_a_plot_has_its_target(images: Path) -> None:
    for kind in PARTS:
        page = render(report_of(kind), files(images))
        wanted = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
        assert wanted
        assert wanted <= set(re.findall(r' id="([^"]+)"', page))


def test_mistakes_show_the_pictures_that_exist(images: Path) -> None:
    page = render(report_of("verification"), files(images))
    assert page.count('<img src="data:image/jpeg;base64,') == 1
    assert page.count("not shown") == 1
    assert "data:image/jpeg" not in render(report_of("verification"), {})


def test_a_missed_probe_is_followed_by_its_mate(images: Path) -> None:
    page = render(report_of("identification"), files(images))
    assert re.findall(r"<span>(\w\.png)</span>", page) == ["a.png", "b.png", "c.png"]


def test_hostile_names_stay_text(images: Path) -> None:
    page = render(report_of("identification"), {HOSTILE: images / "a.png"})
    assert "<img src=x" not in page
    assert (
        page.count("&lt;img src=x onerror=&#34;alert(&#39;1&#39;)&#34;&gt;&lt;/span&gt;.png") == 9
    )  # four of mistakes, five of groups
    assert all(each.startswith("data:") for each in re.findall(r'<img src="([^"]*)"', page))

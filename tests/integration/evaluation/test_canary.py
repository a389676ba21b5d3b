"""Canaries against a running server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from facet import Client
from facet.cli.evaluate.app import app
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Serving

ROOT = Path(__file__).resolve().parents[3]
NAMES = [f"guest {number}" for number in range(6)]
Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, images: Path) -> Path:
    """A set in which one picture is enrolled under six names, so that most of their probes are missed."""
    lines = [f"gallery,{name},yaoming.jpg" for name in NAMES] + [f"mated,{name},mirrored.png" for name in NAMES]
    lines += ["nonmated,stranger,gdp.jpg", "nonmated,other,gdp.jpg"]
    (tmp_path / "protocol.csv").write_text("\n".join(("role,subject,image", *lines)), "utf-8")
    return tmp_path


@pytest.fixture
def canary(folder: Path, images: Path, server: Serving) -> Run:
    """Run a canary with a baseline in the folder."""

    def run(*flags: str) -> Result:
        arguments = ["--protocol", folder / "protocol.csv", "--images", images, "--baseline", folder / "baseline.json"]
        return CliRunner().invoke(app, ["canary", *map(str, arguments), "--address", server.address, "--json", *flags])

    return run


def doctored(path: Path) -> None:
    """Let a baseline claim that nobody was missed."""
    report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    for item in report["items"]:
        item |= {"matched": True, "rank": 1} if item["mated"] else {}
    report["fnir"]["value"], report["rank_1"]["value"] = 0.0, 1.0
    path.write_text(json.dumps(report), "utf-8")


def canaries(server: Serving) -> list[str]:
    with Client(server.address) as client:
        return [each.gallery_id for each in client.iter_galleries() if each.gallery_id.startswith("canary-")]


def test_a_first_run_is_the_baseline_of_the_next_and_a_worse_one_has_its_own_exit_code(
    canary: Run, folder: Path, server: Serving, images: Path
) -> None:
    metrics = folder / "canary.prom"
    made = canary("--save-baseline")
    assert (made.exit_code, json.loads(made.stdout)["outcome"]) == (0, "baseline"), made.output
    baseline = (folder / "baseline.json").read_text("utf-8")
    again = canary("--save-baseline")
    assert (again.exit_code, json.loads(again.stdout)["outcome"]) == (0, "good"), again.output
    assert (folder / "baseline.json").read_text("utf-8") == baseline
    doctored(folder / "baseline.json")
    worse = canary("--metrics", str(metrics))
    assert (worse.exit_code, json.loads(worse.stdout)["worse"]) == (3, ["fnir", "rank_1"])
    assert 'facet_canary_worse{canary="baseline"} 1.0' in metrics.read_text("utf-8")
    assert canaries(server) == []
    (images / "gdp.jpg").unlink()
    gone = canary("--save-baseline", "--metrics", str(metrics))
    assert (gone.exit_code, json.loads(gone.stdout)["reason"]) == (1, "PICTURES_GONE")
    assert 'facet_canary_failure{canary="baseline",reason="PICTURES_GONE"} 1.0' in metrics.read_text("utf-8")
    runs = (folder / "baseline.history.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(run)["outcome"] for run in runs] == ["baseline", "good", "worse", "failed"]


def test_a_canary_decides_as_the_gallery_whose_threshold_is_asked_for(canary: Run, client: Client) -> None:
    client.create_gallery("team", threshold=0.999, mean_of_best=2)
    assert canary("--save-baseline").exit_code == 0
    as_team = json.loads(canary("--threshold-of", "team").stdout)
    assert {each["name"]: each["b"] for each in as_team["changed"]} == {
        "configuration.threshold": 0.999,
        "configuration.mean_of_best": 2,
    }
    assert {each["name"]: each["b"] for each in as_team["figures"]}["fnir"] == 1.0
    by_number = json.loads(canary("--threshold", "0.999").stdout)
    assert [each["name"] for each in by_number["changed"]] == ["configuration.threshold"]


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--threshold", "nan"), 2, "Invalid value for '--threshold'"),
        (("--threshold", "1.5"), 2, "Invalid value for '--threshold'"),
        (("--threshold", "0.3", "--threshold-of", "team"), 2, "exclude each other"),
        (("--threshold-of", "nowhere", "--save-baseline"), 1, "--threshold-of: there is no gallery 'nowhere'"),
        (("--threshold-of", "no id", "--save-baseline"), 1, "--threshold-of: gallery_id: must be"),
    ],
)
def test_a_threshold_that_cannot_be_taken_is_refused(
    canary: Run, folder: Path, flags: tuple[str, ...], code: int, said: str
) -> None:
    done = canary(*flags)
    assert done.exit_code == code
    assert said in done.output
    assert not (folder / "baseline.json").exists()


def test_the_gallery_of_a_run_that_was_killed_is_deleted_by_the_next(
    canary: Run, folder: Path, server: Serving, client: Client
) -> None:
    client.create_gallery("canary-killed")
    notes = [["another.name:1", "canary-killed"], [server.address, "canary-gone"], ["elsewhere:1", "canary-elsewhere"]]
    (folder / "baseline.json.lock").write_text(json.dumps(notes), "utf-8")
    assert canary("--save-baseline").exit_code == 0
    assert canaries(server) == []
    assert json.loads((folder / "baseline.json.lock").read_text("utf-8")) == notes[2:]


def test_sigterm_ends_the_first_run_where_ctrl_c_is_ignored_and_deletes_its_gallery(
    folder: Path, images: Path, server: Serving
) -> None:
    """Shells ignore Ctrl-C for a job in the background of a script."""
    protocol = folder / "protocol.csv"
    lines = protocol.read_text("utf-8").splitlines() + [f"gallery,more {number},yaoming.jpg" for number in range(1000)]
    protocol.write_text("\n".join(lines), "utf-8")
    flags = ("--protocol", protocol, "--images", images, "--baseline", folder / "baseline.json", "--save-baseline")
    canary = (ROOT / "scripts" / "evaluate.py", "canary", *flags, "--every", "1h", "--address", server.address)
    command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, *map(str, canary)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    with subprocess.Popen(command, env=environment) as process:
        until(lambda: canaries(server))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 1
    assert canaries(server) == []
    assert not (folder / "baseline.json").exists()


def test_without_a_baseline_nothing_is_run(canary: Run, folder: Path) -> None:
    done = canary()
    assert (done.exit_code, json.loads(done.stdout)["reason"]) == (1, "NO_BASELINE")
    assert not (folder / "baseline.json").exists()


def test_repeated_runs_outlive_failures_and_end_with_sigterm(folder: Path, images: Path) -> None:
    """No server answers, so every run fails; the exit code is that of the last one."""
    arguments = ("--protocol", folder / "protocol.csv", "--images", images, "--baseline", folder / "baseline.json")
    command = [sys.executable, ROOT / "scripts" / "evaluate.py", "canary", *arguments, "--save-baseline", "--json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    with subprocess.Popen(
        [*map(str, command), "--every", "1s", "--address", "127.0.0.1:1"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        runs = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 1
    assert [run["reason"] for run in runs] == ["UNAVAILABLE", "UNAVAILABLE"]
    assert not (folder / "baseline.json").exists()


def test_repeated_runs_tell_once_what_the_set_notices(folder: Path, images: Path, server: Serving) -> None:
    command = [sys.executable, ROOT / "scripts" / "evaluate.py", "canary", "--protocol", folder / "protocol.csv"]
    command += ["--images", images, "--baseline", folder / "baseline.json", "--save-baseline"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    said: list[str] = []
    with subprocess.Popen(
        [*map(str, command), "--every", "1s", "--address", server.address],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        while sum("as good as the baseline" in line for line in said) < 2:
            line = process.stdout.readline()
            assert line, said
            said.append(line)
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        process.wait(60)
    assert sum("fnir: this set notices" in line for line in [*said, *rest.splitlines()]) == 1
    assert any(line.split()[:1] == ["fpir"] and "0.00000" in line and ".." not in line for line in said), said

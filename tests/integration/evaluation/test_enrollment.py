"""Wrong pictures under a name through evaluate.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

Run = Callable[..., "subprocess.CompletedProcess[str]"]
UnknownFigures = Callable[[dict[str, Any]], list[str]]


def test_wrong_pictures_look_unlike_and_right_ones_do_not(
    run: Run, server: Serving, pictures: Pictures, tmp_path: Path, unknown_figures: UnknownFigures
) -> None:
    people = tmp_path / "people"
    for name, data in (("yao", pictures.yaoming), ("other", pictures.six), ("alone", pictures.six)):
        (people / name).mkdir(parents=True)
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        for number in range(1 if name == "alone" else 3):
            changed = cv2.convertScaleAbs(picture, beta=10 * number)
            (people / name / f"{number}.png").write_bytes(cv2.imencode(".png", changed)[1].tobytes())
    arguments = ("enrollment", "--gallery", people, "--address", server.address, "--json")
    done = run(*arguments, "--report", tmp_path / "report", "--require", "wrong_unlike_2>=1")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert unknown_figures(report) == []
    assert (report["kind"], report["images"], report["subjects"]) == ("enrollment", 6, 2)
    assert [report[f"trials_{templates}"] for templates in (1, 2, 3, 5)] == [6, 6, 0, 0]
    assert [report[f"right_unlike_{templates}"]["value"] for templates in (1, 2, 3, 5)] == [0.0, 0.0, None, None]
    assert [report[f"wrong_unlike_{templates}"]["value"] for templates in (1, 2, 3, 5)] == [1.0, 1.0, None, None]
    strict = json.loads(run(*arguments, "--min-similarity", 1).stdout)
    assert strict["right_unlike_2"]["value"] == 1.0
    assert {each["image"] for each in strict["mistakes"]["misses"]} <= {
        f"gallery/{name}/{number}.png" for name in ("yao", "other") for number in range(3)
    }
    few = run(*arguments[:2], people / "alone", "--json")
    assert few.returncode == 1

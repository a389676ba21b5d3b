"""Inputs that reach different code, and new ones that the fuzzer makes of them, find no defect."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import target

ROOT = Path(__file__).resolve().parents[2]
NEW_INPUTS = {"pictures": 3000, "requests": 1000, "imports": 300, "metadata": 1000}
"""A few seconds for each target."""
HAS_ATHERIS = importlib.util.find_spec("atheris") is not None
DEFECTIVE = """
INSTRUMENTED = ("colorsys",)

def prepare():
    def fuzz(data):
        assert b"defect" not in data
    return fuzz

def repaired(data):
    return data
"""
"""A target that has a defect: the fuzzer proves nothing unless it can fail."""


@pytest.mark.skipif(not HAS_ATHERIS, reason="needs atheris, which there is for Linux on x86-64")
@pytest.mark.parametrize("name", target.NAMES)
def test_valid_inputs_the_kept_corpus_and_new_inputs_made_of_them_find_no_defect(name: str, tmp_path: Path) -> None:
    known = [*target.load(name).seeds(), *target.kept(name)]
    done = fuzz(name, "--inputs", len(known) + NEW_INPUTS[name], "--seconds", 120, "--out", tmp_path, "--json")
    assert done.returncode == 0, done.stderr[-4000:]
    (outcome,) = json.loads(done.stdout)
    assert outcome["finding"] == ""
    assert outcome["inputs"] > len(set(known)) / 2
    assert outcome["features"] > 0


@pytest.mark.skipif(HAS_ATHERIS, reason="the fuzzer tries the same inputs, and more")
@pytest.mark.parametrize("name", target.NAMES)
def test_valid_inputs_and_the_kept_corpus_find_no_defect(name: str) -> None:
    code = (
        "import sys; from tests.fuzz import target; chosen = target.load(sys.argv[1]); fuzz = chosen.prepare()\n"
        "for data in [*chosen.seeds(), *target.kept(sys.argv[1])]: fuzz(data)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, name], capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.skipif(not HAS_ATHERIS, reason="needs atheris, which there is for Linux on x86-64")
def test_an_input_that_finds_a_defect_ends_the_fuzzer_and_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "fuzz"
    folder.mkdir(parents=True)
    for file in ("run.py", "target.py"):
        (folder / file).write_text((ROOT / "tests" / "fuzz" / file).read_text("utf-8"), "utf-8")
    (folder / "pictures.py").write_text(DEFECTIVE, "utf-8")
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "one").write_bytes(b"a defect")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "pictures", "seeds", f"-artifact_prefix={tmp_path}/", "-runs=1000"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    assert done.returncode != 0
    (found,) = tmp_path.glob("crash-*")
    assert found.read_bytes() == b"a defect"


def test_an_unknown_target_is_one_line() -> None:
    done = fuzz("photos")
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        ["there is no target photos; there are pictures, requests, imports, metadata"],
    )


def fuzz(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "fuzz.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

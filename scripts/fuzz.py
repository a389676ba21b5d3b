"""Fuzz what reads bytes of strangers, guided by coverage."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # scripts/ holds gallery.py, which would hide the package

from facet.terminal import console, tables  # noqa: E402 - the path comes first
from tests.fuzz import target  # noqa: E402 - the path comes first

MAX_SECONDS = 10
"""An input that takes longer is a finding."""
MAX_MIB = 2048
"""An input that needs more memory, with the models of a server, is a finding."""
_KNOWN = "known-"
_DONE = re.compile(r"^#(\d+)\s+DONE .*? ft: (\d+)", re.MULTILINE)

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What fuzzing a target came to.

    Attributes:
        target: its name.
        inputs: inputs that were tried.
        features: what the fuzzer counts as different behaviour.
        finding: the file of the input that found a defect; empty without one.
    """

    target: str
    inputs: int
    features: int
    finding: str


@app.command()
def main(
    names: Annotated[
        list[str] | None, typer.Argument(help=f"Targets: {', '.join(target.NAMES)}; default: all.", show_default=False)
    ] = None,
    seconds: Annotated[int, typer.Option(min=1, help="Time for each target.")] = 60,
    inputs: Annotated[int, typer.Option(min=-1, help="Most inputs for each target; -1 means any number.")] = -1,
    out: Annotated[Path, typer.Option(help="Folder for inputs that find a defect.")] = Path("fuzz-findings"),
    again: Annotated[Path | None, typer.Option(help="Only try this input, on the one target named.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Add inputs that reach new code to the kept corpus.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")] = False,
) -> None:
    """Try mutated pictures, requests, imports and metadata on the code that serves.

    The fuzzer is libFuzzer, through atheris. It starts from valid inputs and the corpus in tests/fuzz/corpus. An input
    finds a defect if it raises an exception that is no refusal, makes the server answer with a status that only
    defects have, takes more than 10 seconds, or needs more than 2 GiB.

    [b]Examples[/b]

      scripts/fuzz.py                            a minute for each target
      scripts/fuzz.py pictures --seconds 600
      scripts/fuzz.py pictures --again FILE      a finding once more

    With [b]--json[/b]: a list with an object for each target: [i]target[/i], [i]inputs[/i], [i]features[/i] (what the
    fuzzer counts as different behaviour), and [i]finding[/i], a file or an empty text.

    Exit code: 0 no finding, 1 a finding, 2 bad usage.
    """
    chosen = names or list(target.NAMES)
    if unknown := [name for name in chosen if name not in target.NAMES]:
        console.fail(f"there is no target {unknown[0]}; there are {', '.join(target.NAMES)}", console.USAGE)
    if importlib.util.find_spec("atheris") is None:
        console.fail("fuzzing needs atheris, which there is for Linux on x86-64: scripts/install dev", console.USAGE)
    if again is not None:
        if len(chosen) != 1 or not again.is_file():
            console.fail("--again takes a file, and needs the name of its target", console.USAGE)
        raise typer.Exit(_run(chosen[0], [str(again)]).returncode and console.FAILED)
    out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for name in chosen:
        console.err.print(f"{name}: {seconds} s")
        outcomes.append(_fuzz(name, seconds, inputs, out, keep=keep))
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in outcomes]))
    else:
        shown = tables.table("target", tables.number("inputs"), tables.number("features"), "finding")
        for each in outcomes:
            shown.add_row(each.target, f"{each.inputs:,}", f"{each.features:,}", each.finding or "none")
        console.out.print(shown)
    raise typer.Exit(console.FAILED if any(each.finding for each in outcomes) else console.DONE)


def _fuzz(name: str, seconds: int, inputs: int, out: Path, *, keep: bool) -> Outcome:
    known = [*target.load(name).seeds(), *target.kept(name)]
    before = set(out.iterdir())
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, data in enumerate(known):
            (corpus / f"{_KNOWN}{number}").write_bytes(data)
        options = [f"-max_total_time={seconds}", f"-runs={inputs}", f"-artifact_prefix={out / name}-"]
        done = _run(name, [str(corpus), *options])
        if keep and not done.returncode:
            new = [path.read_bytes() for path in corpus.iterdir() if not path.name.startswith(_KNOWN)]
            console.err.print(f"{name}: {target.keep(name, [*target.kept(name), *new])} inputs kept")
    findings = sorted(set(out.iterdir()) - before)
    if done.returncode and not findings:
        console.fail(f"the fuzzer failed:\n{done.stderr[-4000:]}")
    if findings:
        console.err.print(done.stderr[-4000:])
    ended = _DONE.search(done.stderr)
    tried, features = map(int, ended.groups()) if ended else (0, 0)
    return Outcome(name, tried, features, str(findings[0]) if findings else "")


def _run(name: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    limits = [f"-timeout={MAX_SECONDS}", f"-rss_limit_mb={MAX_MIB}"]
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", name, *arguments, *limits],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )


if __name__ == "__main__":
    app()

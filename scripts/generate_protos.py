"""Generate facet/v1 from proto/, lint the protos, and compare them with the released wire format."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Annotated

import typer

from facet.terminal import console
from facet.terminal.console import AsJson

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
BASELINE = PROTO / "released.binpb"

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def main(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 if the committed code is out of date.")
    ] = False,
    release: Annotated[
        bool,
        typer.Option("--release", help="Also make these protos the released wire format, which later ones must keep."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    r"""Generate the Python code of the wire format, after lint and the check for breaking changes.

    Needs the extra [b]dev[/b]: [i]scripts/install dev[/i].

    With [b]--json[/b], [i]changed[/i] lists the files that differed from the generated code (with [b]--check[/b] they
    still do), and [i]up_to_date[/i] is true if there were none.

    Exit code: 0 done, 1 lint or the breaking-change check failed, or --check found changes, 2 bad usage.
    """
    complaints = buf("lint", PROTO)
    if BASELINE.exists():
        complaints += buf("breaking", PROTO, "--against", BASELINE)
    if complaints:
        console.fail(complaints.rstrip())
    with tempfile.TemporaryDirectory() as folder:
        generated = Path(folder)
        generate(generated)
        stale = differences(generated)
        if as_json:
            console.print_json({"changed": stale, "up_to_date": not stale})
        if check and stale:
            console.fail(f"not up to date: {', '.join(stale)}; run scripts/generate_protos.py")
        for name in stale:
            target = ROOT / name
            if (generated / name).exists():
                target.write_bytes((generated / name).read_bytes())
            else:
                target.unlink()
    if release:
        compile_image(BASELINE)
    console.err.print(f"facet/v1: {', '.join(stale) if stale else 'up to date'}")


def compile_image(out: Path) -> None:
    """Write the descriptors of all protos with their comments, imported files included."""
    if complaints := buf("build", PROTO, "--as-file-descriptor-set", "--output", out):
        console.fail(complaints.rstrip())


def generate(out: Path) -> None:
    """Write messages, stubs and their types to ``out``."""
    wellknown = distribution("grpcio-tools").locate_file("grpc_tools/_proto")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{wellknown}"]
    command += [f"--plugin={name}={_tool(name)}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    command += [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    command += sorted(path.relative_to(PROTO).as_posix() for path in PROTO.glob("facet/**/*.proto"))
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        console.fail(result.stderr.rstrip())


def differences(generated: Path) -> list[str]:
    """The files, relative to the root, in which the committed code differs from the generated code."""
    fresh = {path.relative_to(generated).as_posix(): path.read_bytes() for path in generated.rglob("*_pb2*")}
    committed = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in ROOT.glob("facet/v1/*_pb2*")}
    return sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))


def buf(command: str, *arguments: str | Path) -> str:
    """Run Buf and return its complaints, empty if there are none."""
    result = subprocess.run(
        [_tool("buf"), command, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr if result.returncode else ""


def _tool(name: str) -> str:
    """The path of a program in the environment of this Python."""
    return str(Path(sys.executable).parent / name)


if __name__ == "__main__":
    app()

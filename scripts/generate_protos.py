"""Generate facet/v1 from proto/, lint the protos, and hold them to the wire format that was released."""

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
        bool, typer.Option("--check", help="Change nothing; exit 1 where the committed code is not up to date.")
    ] = False,
    release: Annotated[
        bool,
        typer.Option("--release", help="Also make today's protos the wire format that later ones must not break."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    r"""Generate the Python code of the wire format, after lint and the breaking-change check.

    Needs the extra [b]dev[/b]: [i]scripts/install dev[/i].

    With [b]--json[/b]: [i]changed[/i] are the files that were not as they are generated (with [b]--check[/b] they
    still are not), [i]up_to_date[/i] is whether there were none.

    Exit code: 0 done, 1 lint or the breaking-change check complains, or --check found changes, 2 bad usage.
    """
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "facet.binpb"
        generated = Path(folder) / "generated"
        generated.mkdir()
        compile_image(image)
        complaints = buf("lint", image, "--config", PROTO / "buf.yaml", "--exclude-path", "google")
        if BASELINE.exists():
            complaints += buf("breaking", image, "--against", BASELINE, "--config", PROTO / "buf.yaml")
        if complaints:
            console.fail(complaints.rstrip())
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
            BASELINE.write_bytes(image.read_bytes())
    console.err.print(f"facet/v1: {', '.join(stale) if stale else 'up to date'}")


def compile_image(out: Path) -> None:
    """Write the descriptors of every proto, the imported ones included, as Buf reads them."""
    _protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={out}")


def generate(out: Path) -> None:
    """Write messages, stubs and their types below ``out``."""
    _protoc(f"--python_out={out}", f"--grpc_python_out={out}", f"--mypy_out={out}", f"--mypy_grpc_out={out}")


def differences(generated: Path) -> list[str]:
    """The files, relative to the root, in which the committed code differs from the generated."""
    fresh = {path.relative_to(generated).as_posix(): path.read_bytes() for path in generated.rglob("*_pb2*")}
    committed = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in ROOT.glob("facet/v1/*_pb2*")}
    return sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))


def buf(command: str, *arguments: str | Path) -> str:
    """Run Buf; what it complains of, empty where it does not."""
    result = subprocess.run(
        [_tool("buf"), command, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr if result.returncode else ""


def _protoc(*arguments: str) -> None:
    wellknown = distribution("grpcio-tools").locate_file("grpc_tools/_proto")
    google = Path(str(distribution("googleapis-common-protos").locate_file("google/rpc"))).parent.parent
    sources = sorted(path.relative_to(PROTO).as_posix() for path in PROTO.rglob("*.proto"))
    plugins = [f"--plugin={name}={_tool(name)}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{wellknown}", f"-I{google}"]
    result = subprocess.run(
        [*command, *plugins, *arguments, *sources], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if result.returncode:
        console.fail(result.stderr.rstrip())


def _tool(name: str) -> str:
    """A program in the environment of this Python."""
    return str(Path(sys.executable).parent / name)


if __name__ == "__main__":
    app()

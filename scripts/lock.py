"""Pin every dependency with the digests of its files: writes requirements/ from pyproject.toml."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
INCLUDED = {
    "base": (),
    "camera": ("base",),
    "cjk": ("base",),
    "evaluation": ("base",),
    "jxl": ("base",),
    "milvus": ("base",),
    "models": ("base",),
    "postgres": ("base",),
    "tracing": ("base",),
    "benchmarks": ("base",),
    "dev": ("base", "camera", "cjk", "evaluation", "jxl", "milvus", "models", "postgres", "tracing", "benchmarks"),
    "export": ("base",),
    "build": (),
}
"""The files, and the files that each includes. ``base`` is what Facet always needs, ``build`` is what builds it, the
others are extras."""

EDITABLE = "editables>=0.5"
"""What hatchling needs besides itself for an editable installation."""

PLATFORMS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACOS = "14.0"
"""The oldest macOS for which ONNX Runtime has wheels."""

NOTICE = "# Generated from pyproject.toml by scripts/lock.py; do not edit.\n"
_PIN = re.compile(r"^([a-z0-9-]+)==(\S+)")

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def main(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if a file is not up to date.")] = False,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Take the newest versions instead of those pinned.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Write requirements/: every package, its version and the SHA-256 of each of its files.

    Versions that are pinned stay if pyproject.toml still allows them. Every package must have a wheel for Linux on
    x86-64 and ARM and for macOS on ARM, for Python 3.11 to 3.14. Needs the package index, and uv from the extra
    [b]dev[/b].

    With [b]--json[/b]: [i]changed[/i] are the files that were not as they are generated (with [b]--check[/b] they
    still are not), [i]up_to_date[/i] is whether there were none.

    Exit code: 0 done, 1 --check found changes or versions cannot be found, 2 bad usage.
    """
    try:
        generated = lock(upgrade=upgrade)
        verify_platforms(generated)
    except subprocess.CalledProcessError as error:
        typer.echo(f"uv failed:\n{error.stderr}", err=True)
        raise typer.Exit(1) from None
    stale = [name for name, text in generated.items() if _read(name) != text]
    if as_json:
        typer.echo(json.dumps({"changed": stale, "up_to_date": not stale}))
    if check and stale:
        typer.echo(f"not up to date: {', '.join(stale)}; run scripts/lock.py", err=True)
        raise typer.Exit(1)
    for name in stale:
        (FOLDER / f"{name}.txt").write_text(generated[name], "utf-8")
    typer.echo(f"requirements: {', '.join(stale) if stale else 'up to date'}", err=True)


def lock(*, upgrade: bool) -> dict[str, str]:
    """The content of every file, by its name.

    One resolution covers all extras, so that they agree on versions. Each file then takes its share of it, without
    what the files that it includes have.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    build = "\n".join([*project["build-system"]["requires"], EDITABLE])
    pinned = {} if upgrade else {name: pin for file in INCLUDED for name, pin in blocks(_read(file)).items()}
    whole = _compile("pyproject.toml", "--extra", "dev", "--extra", "export", preferred="".join(pinned.values()))
    packages = {
        name: blocks(_compile("-", given=build, constraint=whole) if name == "build" else _extra(name, whole))
        for name in INCLUDED
    }
    return {name: _file(included, packages[name], packages) for name, included in INCLUDED.items()}


def verify_platforms(generated: dict[str, str]) -> None:
    """Fail unless all packages have wheels for all platforms and Pythons."""
    whole = "".join("".join(blocks(text).values()) for text in generated.values())
    for platform, version in product(PLATFORMS, PYTHONS):
        extras = ("--extra", "dev", "--extra", "export")
        _compile(
            "pyproject.toml", *extras, "--python-platform", platform, "--python-version", version, constraint=whole
        )


def blocks(text: str) -> dict[str, str]:
    """The lines of each package in a file, by the package's name."""
    found: dict[str, str] = {}
    for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE):
        if pin := _PIN.match(block):
            found[pin[1]] = found.get(pin[1], "") + block  # a package may have a version for each of two Pythons
    return found


def _extra(name: str, whole: str) -> str:
    arguments = () if name == "base" else ("--extra", name)
    return _compile("pyproject.toml", *arguments, constraint=whole)


def _file(included: tuple[str, ...], own: dict[str, str], packages: dict[str, dict[str, str]]) -> str:
    elsewhere = {name for file in included for name in packages[file]}
    lines = [f"-r {file}.txt\n" for file in included]
    return NOTICE + "".join([*lines, *(block for name, block in own.items() if name not in elsewhere)])


def _compile(
    source: str, *arguments: str, given: str | None = None, preferred: str = "", constraint: str | None = None
) -> str:
    """Let uv find versions. ``preferred`` are those to keep if they fit, ``constraint`` those to take."""
    command = [sys.executable, "-m", "uv", "pip", "compile", source, *arguments, "--quiet", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--only-binary", ":all:"]
    if "--python-platform" not in arguments:
        command.append("--universal")
    with tempfile.TemporaryDirectory() as folder:
        out, pins = Path(folder, "out.txt"), Path(folder, "pins.txt")
        out.write_text(preferred, "utf-8")
        if constraint is not None:
            pins.write_text("".join(f"{pin}\n" for pin in _pins(constraint)), "utf-8")
            command += ["--constraint", str(pins)]
        command += ["--output-file", str(out)]
        environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": MACOS}
        subprocess.run(command, input=given, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        return out.read_text("utf-8")


def _pins(text: str) -> list[str]:
    return [line.removesuffix(" \\") for line in text.splitlines() if _PIN.match(line)]


def _read(name: str) -> str:
    path = FOLDER / f"{name}.txt"
    return path.read_text("utf-8") if path.exists() else ""


if __name__ == "__main__":
    app()

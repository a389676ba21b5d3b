"""Generate the methods of the synchronous client from those of the asynchronous one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parent.parent
SOURCE, TARGET = ROOT / "facet" / "client" / "aio", ROOT / "facet" / "client" / "sync"
WRITTEN_TWICE = frozenset({"__init__.py", "calls.py", "connection.py"})
RULES = (
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\baclosing\b", "closing"),
    (r"\bAsyncGenerator\[(.+), None\]", r"Generator[\1, None, None]"),
    (r"\bAsync(Generator|Iterator)\b", r"\1"),
    (r"\bfacet\.client\.aio\b", "facet.client.sync"),
)
"""What to replace, and by what."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def main(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if the committed code is not up to date.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Generate facet/client/sync from facet/client/aio: the same methods without async and await.

    Needs ruff, and imports nothing of Facet's: it also runs while the generated code is broken.

    With [b]--json[/b]: [i]changed[/i] are the files that were not as they are generated (with [b]--check[/b] they
    still are not), [i]up_to_date[/i] is whether there were none.

    Exit code: 0 done, 1 --check found changes, 2 bad usage.
    """
    generated = {path.name: translate(path) for path in SOURCE.glob("*.py") if path.name not in WRITTEN_TWICE}
    present = {path.name: path.read_text("utf-8") for path in TARGET.glob("*.py") if path.name not in WRITTEN_TWICE}
    stale = sorted(name for name in generated | present if generated.get(name) != present.get(name))
    if as_json:
        typer.echo(json.dumps({"changed": stale, "up_to_date": not stale}))
    if check and stale:
        typer.echo(f"not up to date: {', '.join(stale)}; run scripts/generate_client.py", err=True)
        raise typer.Exit(1)
    for name in stale:
        if name in generated:
            (TARGET / name).write_text(generated[name], "utf-8")
        else:
            (TARGET / name).unlink()
    typer.echo(f"facet/client/sync: {', '.join(stale) if stale else 'up to date'}", err=True)


def translate(path: Path) -> str:
    """The synchronous version of a file."""
    text = path.read_text("utf-8")
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    notice = f"# Generated from {path.relative_to(ROOT).as_posix()} by scripts/generate_client.py; do not edit.\n"
    return _ruff(_ruff(notice + text, "check", "--fix", "--select", "F811,I,UP028", "--unsafe-fixes"), "format")


def _ruff(text: str, *command: str) -> str:
    """Tidy code as ruff does, with the project's settings."""
    name = str(TARGET / "generated.py")
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", name, "-"],
        input=text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        check=True,
    )
    return run.stdout


if __name__ == "__main__":
    app()

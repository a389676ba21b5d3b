"""Fuzz one target, guided by coverage: ``python -m tests.fuzz.run TARGET [FOLDER or FILE] [libFuzzer options]``.

The folder gets the inputs that reach new code; a file is tried alone. A finding ends the program with an error, and its
input is written to the folder that ``-artifact_prefix`` names. Needs atheris.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import atheris

from tests.fuzz.target import load

_MAX_BYTES = 16384


def main() -> None:
    """Run libFuzzer; it ends the process."""
    name, *options = sys.argv[1:]
    target = load(name)
    with atheris.instrument_imports(include=list(target.INSTRUMENTED), enable_loader_override=False):
        fuzz = target.prepare()
    atheris.Setup(
        [sys.argv[0], f"-max_len={_MAX_BYTES}", *options],
        fuzz,
        custom_mutator=_mutating(target.repaired),
    )
    atheris.Fuzz()


def _mutating(repaired: Callable[[bytes], bytes]) -> Callable[[bytes, int, int], bytes]:
    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        return repaired(bytes(atheris.Mutate(data, max_size)))[:max_size]

    return mutate


if __name__ == "__main__":
    main()

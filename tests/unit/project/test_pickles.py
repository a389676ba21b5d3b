"""Nothing unpickles what it reads; only the export, with --trust, loads checkpoints."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("detector", "facet", "gallery", "recognizer", "scripts", "examples")
UNPICKLES = frozenset({"cPickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"})
"""Modules that nothing imports."""
TRUSTED = {"detector/export.py": {"ultralytics.YOLO"}}
CALLS = frozenset({"torch.load", "ultralytics.YOLO", "pandas.read_pickle", "pd.read_pickle", "scipy.io.loadmat"})


def test_only_the_export_can_run_code_from_a_file() -> None:
    found = [
        f"{name}: {use}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name in [path.relative_to(ROOT).as_posix()]
        for use in unpickling(ast.parse(path.read_text("utf-8")))
        if use not in TRUSTED.get(name, set())
    ]
    assert not found


def unpickling(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in UNPICKLES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CALLS:
                yield called
            pickles = [keyword.value for keyword in node.keywords if keyword.arg == "allow_pickle"]
            if called in {"np.load", "numpy.load"} and [ast.unparse(each) for each in pickles] != ["False"]:
                yield called

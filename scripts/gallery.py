"""Look after galleries: back their database up, put a backup back, verify it, make it compact."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

# Python puts the folder of the script that it runs first on its path, and there this file hides the package of its
# name: from this script, and from those beside it.
_FOLDER = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != _FOLDER]

if __name__ == "gallery":
    # A script beside this one meant the package: it gets it.
    del sys.modules[__name__]
    importlib.import_module(__name__)

if __name__ == "__main__":
    importlib.import_module("facet.cli.gallery.maintenance").app()

"""Show how a server is doing."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # scripts/ holds gallery.py, which would hide the package
    from facet.cli.entry import main

    main("facet.cli.status.app:app")

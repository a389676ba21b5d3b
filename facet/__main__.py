"""``python -m facet`` is the command ``facet``, which comes with the server."""

import sys
from importlib.util import find_spec

if __name__ == "__main__":
    if find_spec("facet.cli") is None:
        sys.exit(
            "only Facet's client is installed here; for the command, get Facet's repository and run scripts/run in it"
        )
    from facet.cli.entry import main

    main()

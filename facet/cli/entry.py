"""Where the command ``facet`` and the scripts start.

This file keeps to the syntax of Python 3.8 and imports only the standard library, so that it can say in one line that
Python is too old, that packages are missing, or that the client's distribution is in the way.
"""

import os
import sys

from facet.terminal.installation import overlap, remedy, too_old


def main(target: str = "facet.cli.app:app") -> None:
    """Run a command: all of ``facet``, or the one that a script names as "module:attribute"."""
    if line := too_old() or overlap():
        sys.exit(line)
    # gRPC's own log repeats on standard error what our messages say. It reads this when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from facet.terminal.command_line.lazy import run
    except ImportError as error:
        if line := remedy(error):
            sys.exit(line)
        raise
    run(target)

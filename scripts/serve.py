"""The Facet server, from one configuration file, the environment and flags."""

import sys

from facet.cli.serve import main

if __name__ == "__main__":
    sys.exit(main())

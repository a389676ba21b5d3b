"""``python -m facet.cli`` is the command ``facet``."""

from facet.cli.entry import main

if __name__ == "__main__":
    main()

"""Find one man in a picture of a squad: what scripts/run shows."""

import typer

from facet.cli.demo import main

if __name__ == "__main__":
    typer.run(main)

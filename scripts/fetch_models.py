"""Fetch upstream models into a folder that the server takes them from."""

import typer

from facet.cli.models.fetch_models import main

if __name__ == "__main__":
    typer.run(main)

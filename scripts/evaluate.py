"""Measure how well a server finds and recognises faces."""

from facet.cli.evaluate.app import app

if __name__ == "__main__":
    app()

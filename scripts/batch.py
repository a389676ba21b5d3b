"""Identify everybody in many pictures."""

from facet.cli.batch import app

if __name__ == "__main__":
    app()

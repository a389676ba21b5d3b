"""Enrol people from pictures; list, show, rename and forget them."""

from facet.cli.people.script import app

if __name__ == "__main__":
    app()

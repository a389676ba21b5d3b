"""Say who is in pictures: a table, JSON lines, or the pictures with names drawn."""

from facet.cli.identify import app

if __name__ == "__main__":
    app()

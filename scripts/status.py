"""Show how a server does."""

from facet.cli.status import app

if __name__ == "__main__":
    app()

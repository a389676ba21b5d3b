"""Set a gallery's threshold from evidence."""

from facet.cli.calibrate import app

if __name__ == "__main__":
    app()

"""Say who is in front of a camera."""

from facet.cli.camera import app

if __name__ == "__main__":
    app()

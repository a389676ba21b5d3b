"""Measure what things cost on this machine."""

from facet.benchmarks.wire import app

if __name__ == "__main__":
    app()

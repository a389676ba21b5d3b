"""The Facet server, from one configuration file, the environment and flags."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from facet import __version__
from facet.runtime.models import ModelError
from facet.runtime.process import configure_for_models
from facet.server import logging as logs
from facet.server.app import BindError, Server
from facet.server.config import Config, ConfigError, dump, load
from facet.server.observability.tracing import TracingUnavailable
from gallery.errors import StorageError

DONE, FAILED, USAGE = 0, 1, 2


def main() -> int:
    """Run the server until it is told to stop; the exit code."""
    # What is left after --config and --json are the settings, which the configuration itself parses and explains.
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments, settings = parser.parse_known_args()
    if {"-h", "--help"} & set(settings):
        print(_HELP)
    try:
        config = load(settings, file=arguments.config)
    except ConfigError as error:
        print(f"serve.py: the configuration cannot be used\n{error}", file=sys.stderr)
        return USAGE
    configure_for_models()
    logs.configure(config.log)
    return asyncio.run(_serve(config, as_json=arguments.json))


async def _serve(config: Config, *, as_json: bool) -> int:
    loop = asyncio.get_running_loop()
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    try:
        server = Server(config)
        address = await server.start()
    except (ModelError, StorageError, BindError, TracingUnavailable, OSError) as error:
        print(f"serve.py: {error}", file=sys.stderr)
        return FAILED
    _announce(config, server, address, as_json=as_json)
    await told_to_stop.wait()
    await server.stop()
    return DONE


def _announce(config: Config, server: Server, address: str, *, as_json: bool) -> None:
    """Say what is running, on standard output; a program reads the first line of --json."""
    pipeline = server.pipeline
    models = [
        {
            "role": model.role,
            "name": model.file.path.name,
            "head": model.head,
            "runtime": model.runtime,
            "sha256": model.file.sha256,
            "license": model.file.license,
            "source": model.file.source,
        }
        for model in pipeline.models
    ]
    if as_json:
        said = {"address": address, "metrics_address": server.metrics_address, "version": __version__}
        more = {"contract": pipeline.contract, "models": models, "configuration": dump(config)}
        print(json.dumps(said | more), flush=True)
        return
    console = Console()
    settings = Table(title="configuration", show_header=False, title_justify="left")
    for section, values in dump(config).items():
        for name, value in values.items():
            settings.add_row(f"{section}.{name}", str(value))
    console.print(settings)
    loaded = Table(
        "role", "file", "head", "runs on", "SHA-256", "licence of the weights", title="models", title_justify="left"
    )
    for model in models:
        loaded.add_row(
            *(model[name] for name in ("role", "name", "head", "runtime")), model["sha256"][:12], model["license"]
        )
    console.print(loaded)
    if server.metrics_address:
        console.print(f"metrics for Prometheus on http://{server.metrics_address}/metrics", highlight=False)
    console.print(f"Facet {__version__} serves on [b]{address}[/b]; stop it with Ctrl-C or SIGTERM", highlight=False)
    sys.stdout.flush()


_HELP = """\
Facet's server. Settings come from a TOML file, then from the environment (FACET_SERVER__PORT=50052), then
from flags; the later wins. docs/configuration.md explains them all.

  serve.py                                         embedded models, facet.sqlite3 here, 127.0.0.1:50051
  serve.py --config facet.toml --server.port 0     a free port, said on the first line

  --config FILE   TOML file of settings
  --json          say what is running as one line of JSON
"""


if __name__ == "__main__":
    sys.exit(main())

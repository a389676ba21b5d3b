"""``facet serve``: the server, from a configuration file, the environment and flags."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import io
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from facet import __version__
from facet.cli.settings import CommandWithSettings, unknown_flag
from facet.runtime.cores import share_cores
from facet.runtime.models import ModelError
from facet.runtime.process import configure_for_models
from facet.server import logging as logs
from facet.server.access.callers.callers_file import CallersFileError
from facet.server.access.exposure import Exposed
from facet.server.access.oidc.signing_keys import KeysUnavailable
from facet.server.app import Server
from facet.server.audit.errors import AuditError
from facet.server.config import Config, ConfigError, GalleryConfig, dump, load
from facet.server.observability.tracing import TracingUnavailable
from facet.server.port import BindError, says_where_metrics_are, shared_port
from facet.server.processes.metrics import ProcessesPort
from facet.server.processes.processes import BEAT_SECONDS, CannotStart, Processes
from facet.server.processes.shared_folder import delete_left_folders, shared_folder
from facet.server.service_manager import READY, STOPPING, notify
from facet.terminal import console, tables
from facet.terminal.command_line import program
from gallery.errors import StorageBusy, StorageError

_STDIN = 0
_READ_BYTES = 4096
_SERVE = (sys.executable, "-P", "-m", "facet.cli", "serve", "--json", "--until-eof")
"""How one of several processes is started: it stops when this one is gone."""
_STOP_SECONDS = 8.0
"""Time that a process has to stop after its calls; less than what systemd and containers allow besides."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command(cls=CommandWithSettings, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say what is running in one line of JSON.")] = False,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="Stop also when standard input ends: the program that holds it is gone.")
    ] = False,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Serve other machines without callers or without TLS, on a trusted network."),
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            help="Number of processes on the port, with galleries in PostgreSQL or Milvus.", min=1, show_default="1"
        ),
    ] = None,
    process: Annotated[int | None, typer.Option(hidden=True, help="Which of the processes this one is.")] = None,
) -> None:
    """Run the server until Ctrl-C or SIGTERM.

    Settings come from a TOML file, then from the environment (FACET_SERVER__PORT=50052), then from flags, and the last
    one counts. docs/configuration.md explains them all.

    [b]Examples[/b]

      facet serve                        packaged models, facet.sqlite3 here
      facet serve --config facet.toml
      facet serve --server.port 0        a free port, printed when it serves
      facet serve --processes 4          with galleries in PostgreSQL

    Exit code: 0 it was stopped, 1 it cannot start, 2 bad usage or a setting that is wrong.
    """
    _open_standard_streams()
    flags = [*context.args, *["--server.insecure"] * insecure]
    if processes is not None:
        flags += ["--server.processes", str(processes)]
    configuration = _configuration(flags, config)
    if process is None:
        delete_left_folders()
    if configuration.server.processes > 1 and process is None:
        logs.configure(configuration.log)
        if config is not None:
            flags += ["--config", str(config)]
        _end_process(asyncio.run(_run_processes(configuration, flags, as_json=as_json, until_eof=until_eof)))
    share_cores(configuration.server.processes)
    configure_for_models()
    logs.configure(configuration.log, process=process)
    faulthandler.enable()
    if configuration.gallery.is_encrypted:
        # A core on the disk would hold in the clear what the files do not, and so would one of a decoder.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    is_watched = process is not None
    _end_process(asyncio.run(_serve(configuration, as_json=as_json, until_eof=until_eof, is_watched=is_watched)))


def _open_standard_streams() -> None:
    """Open the null device in place of each standard stream that is closed.

    Otherwise the next file or socket would get its number, and whatever a library prints to it.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))


def _configuration(flags: Sequence[str], file: Path | None) -> Config:
    """Load the configuration; exits with a usage error if something in it is wrong."""
    if problem := unknown_flag(flags):
        _refuse(problem)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return load(flags, file=file)
    except ConfigError as error:
        _refuse(str(error))
    except SystemExit:  # the parser has printed its whole usage, and the problem in the last line
        _refuse(said.getvalue().strip().rpartition("error: ")[2])


def _refuse(problems: str) -> NoReturn:
    """Exit with a usage error: one line if there is one problem, else a line for each."""
    lines = problems.splitlines()
    if "there is no setting" in problems:
        lines[-1] += f"{'' if lines[-1].endswith('?') else ';'} {program.spelled('facet serve')} --help lists all"
    said = " ".join(lines) if len(lines) == 1 else "\n  ".join(["the configuration cannot be used:", *lines])
    console.fail(f"{program.name('serve')}: {said}", console.USAGE)


def _stop_signals() -> Iterator[signal.Signals]:
    """SIGTERM, Ctrl-C, and what a terminal sends that closes, unless nohup(1) has told the server to ignore that."""
    yield from (signal.SIGTERM, signal.SIGINT)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        yield signal.SIGHUP


def _told_to_stop(*, until_eof: bool) -> asyncio.Event:
    """What is set by each of these signals, and the end of standard input if that counts."""
    loop = asyncio.get_running_loop()
    told_to_stop = asyncio.Event()
    for number in _stop_signals():
        loop.add_signal_handler(number, told_to_stop.set)
    if until_eof:
        threading.Thread(target=_wait_for_eof, name="standard-input", daemon=True).start()
    return told_to_stop


async def _run_processes(config: Config, flags: Sequence[str], *, as_json: bool, until_eof: bool) -> int:
    """Run the processes of a server, each with the same settings, on one port."""
    told_to_stop = _told_to_stop(until_eof=until_eof)
    with contextlib.ExitStack() as stack:
        try:
            port = stack.enter_context(shared_port(config.server))
            shared = list(stack.enter_context(_sharing(config.gallery)))
            running = Processes(
                lambda number: [*_SERVE, *flags, *shared, *_own_flags(config, port, number)],
                config.server.processes,
                config.server.drain_seconds + _STOP_SECONDS,
            )
            metrics_address = ""
            if config.metrics.port is not None:
                with says_where_metrics_are(config.metrics):
                    merged = ProcessesPort(
                        running.members, config.metrics.host, config.metrics.port, config.metrics.token
                    )
                stack.callback(merged.close)
                metrics_address = merged.address
        except (BindError, OSError) as error:
            return _failed(error, config)

        def announce() -> None:
            said = {**running.members[0].said, "metrics_address": metrics_address, "configuration": dump(config)}
            said["processes"] = [each.process.pid for each in running.members if each.process is not None]
            _announce(said, as_json=as_json)
            notify(READY)

        try:
            have_stopped = await running.run(told_to_stop, announce, lambda: notify(STOPPING))
        except CannotStart as error:
            return error.code if error.has_said_why else _failed(error, config)
        except OSError as error:
            return _failed(error, config)
    return console.DONE if have_stopped else console.FAILED


@contextlib.contextmanager
def _sharing(gallery: GalleryConfig) -> Iterator[tuple[str, ...]]:
    """The flags with which the processes share the memory of their indexes, unless the configuration says where."""
    if gallery.postgres_url is None or gallery.snapshot_dir is not None:
        yield ()
        return
    with shared_folder() as folder:
        yield ("--gallery.snapshot-dir", str(folder)) if folder else ()


def _own_flags(config: Config, port: int, number: int) -> Iterator[str]:
    """The flags of one of several processes: what it does not share with the others."""
    yield from ("--process", str(number), "--server.port", str(port))
    if config.metrics.port is not None:
        yield from ("--metrics.host", "127.0.0.1", "--metrics.port", "0")
    audit = config.audit
    for name, path in (("folder", audit.folder), ("head", audit.head), ("key-file", audit.key_file)):
        if path is not None:
            yield from (f"--audit.{name}", str(_numbered(path, number)))


def _numbered(path: Path, number: int) -> Path:
    """The file or folder of one of several processes: ``audit-2`` beside ``audit``."""
    whole = path.absolute()
    return whole.with_name(f"{whole.stem}-{number}{whole.suffix}")


async def _serve(config: Config, *, as_json: bool, until_eof: bool, is_watched: bool) -> int:
    told_to_stop = _told_to_stop(until_eof=until_eof)
    try:
        with _stopping_at_once():
            server = Server(config)
        address = await server.start()
    except _ToldToStop:
        return console.DONE
    except Exposed as error:
        console.err.print(f"{program.name('serve')}: {program.spelled(str(error))}")
        return console.USAGE
    except (
        ModelError,
        StorageError,
        BindError,
        CallersFileError,
        KeysUnavailable,
        AuditError,
        TracingUnavailable,
        OSError,
    ) as error:
        return _failed(error, config)
    _announce(_said(config, server, address), as_json=as_json)
    notify(READY)
    beating = asyncio.create_task(_beat()) if is_watched else None
    await told_to_stop.wait()
    notify(STOPPING)
    await server.stop()
    if beating is not None:
        beating.cancel()
    return console.DONE


async def _beat() -> None:
    """Tell the process that started this one, again and again, that the event loop runs."""
    with contextlib.suppress(OSError):  # that process is gone
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            print(flush=True)


class _ToldToStop(BaseException):
    """A signal to stop came while the models and galleries were being loaded."""


@contextlib.contextmanager
def _stopping_at_once() -> Iterator[None]:
    """Let signals to stop end the block, which keeps the event loop from noticing them.

    Raises:
        _ToldToStop: one came. What was not finished in a database is rolled back.
    """

    def stop(*_: object) -> NoReturn:
        raise _ToldToStop

    before = {number: signal.signal(number, stop) for number in _stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_for_eof() -> None:
    """Tell this process to stop when standard input ends, whatever kind of file it is."""
    with contextlib.suppress(OSError):
        while os.read(_STDIN, _READ_BYTES):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _end_process(code: int) -> NoReturn:
    """End the process without the interpreter's own shutdown.

    Everything is closed by now. The threads of the inference libraries still run, and the destructors of these
    libraries would race with them: a stopped server could end with a segmentation fault instead of its exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def _failed(error: Exception, config: Config) -> int:
    """Say why the server cannot start; returns the exit code."""
    console.err.print(f"{program.name('serve')}: {program.spelled(_in_words(error, config))}")
    return console.FAILED


def _in_words(error: Exception, config: Config) -> str:
    if isinstance(error, StorageBusy) and not config.gallery.is_remote:
        return f"{error}; use --gallery.database for another file"
    if isinstance(error, OSError) and error.filename:
        return f"cannot open {error.filename}: {error.strerror}"
    return str(error)


def _said(config: Config, server: Server, address: str) -> dict[str, Any]:
    """What is running."""
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
    said = {"address": address, "metrics_address": server.metrics_address, "version": __version__}
    return said | {"contract": pipeline.contract, "models": models, "configuration": dump(config)}


def _announce(said: Mapping[str, Any], *, as_json: bool) -> None:
    """Say what is running, on standard output; a program reads the first line of --json."""
    if as_json:
        console.print_json(said)
        return
    settings = tables.listing("configuration")
    for section, values in said["configuration"].items():
        for name, value in values.items():
            settings.add_row(f"{section}.{name}", str(value))
    console.out.print(settings)
    loaded = tables.table("role", "file", "head", "runs on", "SHA-256", title="models")
    models = said["models"]
    for model in models:
        loaded.add_row(*(model[name] for name in ("role", "name", "head", "runtime")), model["sha256"][:12])
    console.out.print(loaded)
    for licence, files in groupby(sorted(models, key=itemgetter("license")), itemgetter("license")):
        console.out.print(f"licence of the weights of {', '.join(model['name'] for model in files)}: {licence}")
    if said["metrics_address"]:
        console.out.print(f"metrics for Prometheus on http://{said['metrics_address']}/metrics")
    processes = f" with {len(said['processes'])} processes" if "processes" in said else ""
    console.out.print(f"Facet {said['version']} serves on {said['address']}{processes}; stop it with Ctrl-C or SIGTERM")
    sys.stdout.flush()

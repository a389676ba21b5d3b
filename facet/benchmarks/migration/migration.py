"""``facet bench migration``: a gallery migrates to another embedding model and back, under load."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from facet import Client, FacetError
from facet.benchmarks.galleries.options import Images, Protocol, labelled_set
from facet.benchmarks.migration.kills import survived
from facet.benchmarks.migration.live_load import LiveLoad
from facet.benchmarks.migration.people import Answers, Difference, Templates, difference, enroll, exported, search
from facet.benchmarks.migration.steps import is_embedded, is_over
from facet.benchmarks.migration.switching import Switching, switching
from facet.benchmarks.timing import per_second, percentile
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.protocol import Entry, read_protocol
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.installation import ROOT
from facet.terminal.local_server import local_process
from facet.terminal.tables import listing
from gallery.records.thresholds import DEFAULT_THRESHOLD

_SECOND_MODEL = ROOT.parent / "shared" / "models" / "mobilefacenet-128.onnx"
_GALLERY = "bench"
_LOAD_PICTURES = 50
_KILLED_PICTURES = 300
_CAPACITY_SECONDS = 4.0
_POLL_SECONDS = 0.25
_MOST_RATIO = 1.3
_MOST_SWITCH_MS = 100.0
_SWITCHES = 20
_SEED = 0


@dataclass(frozen=True, slots=True)
class Way:
    """A migration from one model to another.

    Attributes:
        to_model: the name of the new model.
        templates: of the gallery.
        templates_per_s: how many the server embedded in a second, with the load beside it.
        searches: live searches while it embedded.
        live_p99_ms: of these.
        live_p99_before_ms: of the searches before, and after.
        live_p99_ratio: of the two.
        live_mean_ratio: the same of the means.
        failed_searches: of all live searches, from the start to the end of the migration.
        failures: what went wrong.
        rank_1_before: rank-1 with the old model.
        rank_1: rank-1 with the new model, after the migration.
        fnir: with the new model, at the server's default threshold.
        rank_1_difference: rank-1 minus that of a gallery that was enrolled with the new model.
        fnir_difference: the same of the FNIR.
        different_answers: the probes with another best candidate, or another similarity.
        difference: of the templates from those of a gallery that was enrolled with the new model.
    """

    to_model: str
    templates: int
    templates_per_s: float
    searches: int
    live_p99_ms: float
    live_p99_before_ms: float
    live_p99_ratio: float
    live_mean_ratio: float
    failed_searches: int
    failures: tuple[str, ...]
    rank_1_before: float
    rank_1: float
    fnir: float
    rank_1_difference: float
    fnir_difference: float
    different_answers: int
    difference: Difference


@dataclass(frozen=True, slots=True)
class Killed:
    """A migration whose server was killed again and again.

    Attributes:
        kills: how often.
        difference: of the templates from those of a gallery that was enrolled with the new model.
    """

    kills: int
    difference: Difference


def migration(
    to: Annotated[
        str,
        typer.Option(
            help="The model to migrate to: a name or a file, as models.embedding_next takes it. "
            "Default: mobilefacenet-128 in ../shared next to a clone.",
            show_default=False,
        ),
    ] = "",
    protocol: Protocol = None,
    images: Images = None,
    people: Annotated[int, typer.Option(min=10, help="The most pictures to enrol.")] = 2000,
    probes: Annotated[int, typer.Option(min=10, help="The most probes.")] = 1500,
    load: Annotated[
        float, typer.Option(min=0.05, max=0.95, help="Live searches, as a share of what the server can do.")
    ] = 0.4,
    seconds: Annotated[float, typer.Option(min=1, help="How long to search before and after.")] = 60.0,
    kills: Annotated[int, typer.Option(min=0, help="How often the server is killed.")] = 20,
    templates: Annotated[int, typer.Option(min=1000, help="Templates of the gallery that is switched.")] = 100_000,
    as_json: AsJson = False,
) -> None:
    """Migrate a gallery to another embedding model and back under live searches, and compare it with one enrolled anew.

    Takes about a quarter of an hour on two cores.

      1. There: people of a labelled set are enrolled with the packaged model,
         and migrated to the other one while live searches go on at a steady
         rate: embedded, switched, rolled back, switched, finished. Then the
         same pictures are enrolled with the new model from scratch: templates
         and answers to the probes must be equal.
      2. Back: the same gallery is migrated back to the packaged model. It must
         be as it was.
      3. Kills: a gallery of 300 pictures is migrated back and forth while its
         server is killed at random moments of every step. Nothing may be
         missing or doubled.
      4. Switch: a gallery of random templates is switched and rolled back.

    The bars: no failed search, live p99 at most 1.3 times as long while the server embeds, no difference, and no switch
    or rollback of more than 100 ms.

    [b]Examples[/b]

      facet bench migration
      facet bench migration --to models/mobilefacenet-128.onnx --kills 5 --json

    Exit code: 0 all bars are met, 1 some are not, or something failed, 2 bad usage.
    """
    csv, folder = labelled_set(protocol, images)
    if not to and not _SECOND_MODEL.exists():
        console.fail(f"{_SECOND_MODEL} does not exist: name a model with --to", console.USAGE)
    to = to or str(_SECOND_MODEL)
    try:
        labelled = read_protocol(csv, folder)
        enrolled = labelled.gallery[:people]
        subjects = {entry.subject for entry in enrolled}
        searched = _every([each for each in labelled.probes if _is_about(each, subjects)], probes)
        with tempfile.TemporaryDirectory(prefix="facet-bench-") as place:
            bench = _Bench(to, Path(place), enrolled, searched, load=load, seconds=seconds)
            there, back = bench.there(), bench.back()
            killed = bench.killed(kills) if kills else None
        switched = switching(templates, _SWITCHES)
    except (LabelError, FacetError, OSError) as error:
        console.fail(str(error))
    missed = _missed((there, back), killed, switched)
    if as_json:
        console.print_json(_document(there, back, killed, switched, missed))
    else:
        _print((there, back), killed, switched, missed)
    if missed:
        raise typer.Exit(console.FAILED)


class _Bench:
    """The servers of a benchmark, and the galleries that they are compared with.

    Args:
        to: the other model, as the settings name it.
        folder: for databases.
        enrolled: the pictures to enrol.
        probes: the pictures to search for.
        load: live searches, as a share of what the server can do.
        seconds: how long to search before and after.
    """

    def __init__(
        self, to: str, folder: Path, enrolled: Sequence[Entry], probes: Sequence[Entry], *, load: float, seconds: float
    ) -> None:
        self._to = to
        self._folder = folder
        self._enrolled = enrolled
        self._probes = probes
        self._load = load
        self._seconds = seconds
        mated = [entry for entry in probes if entry.role == "mated"]
        self._pictures = [entry.path.read_bytes() for entry in mated[:_LOAD_PICTURES]]

    def there(self) -> Way:
        """Migrate from the packaged model to the other one."""
        flags = (*self._flags("there"), "--models.embedding-next", self._to)
        with local_process(*flags) as server, Client(server.address) as client:
            enroll(client, _GALLERY, self._enrolled)
            before = search(client, _GALLERY, self._probes, "Searching with the old model")
            return self._way(client, server.address, before, ("--models.embedding", self._to))

    def back(self) -> Way:
        """Migrate the same gallery back."""
        packaged = _packaged_model(self._flags("scratch"))
        flags = (*self._flags("there"), "--models.embedding", self._to, "--models.embedding-next", packaged)
        with local_process(*flags) as server, Client(server.address) as client:
            before = search(client, _GALLERY, self._probes, "Searching with the old model")
            return self._way(client, server.address, before, ())

    def killed(self, kills: int) -> Killed:
        """Migrate a gallery whose server is killed again and again."""
        flags = (*self._flags("killed"), "--models.embedding-next", self._to)
        enrolled = self._enrolled[:_KILLED_PICTURES]
        with local_process(*flags) as server, Client(server.address) as client:
            enroll(client, _GALLERY, enrolled)
            own, other = (model.contract for model in client.get_server_info().embedding_models)
        contract = survived(flags, _GALLERY, (other, own), kills=kills, seed=_SEED)
        with local_process(*flags) as server, Client(server.address) as client:
            migrated = exported(client, _GALLERY)
            count = client.get_gallery(_GALLERY).template_count
        scratch = self._from_scratch(("--models.embedding", self._to) if contract == other else (), enrolled)[0]
        if count != len(migrated):
            raise OSError(f"the gallery claims {count} templates, but {len(migrated)} were exported")
        return Killed(kills, difference(migrated, scratch))

    def _way(self, client: Client, address: str, before: Answers, scratch_flags: tuple[str, ...]) -> Way:
        contract = _other_contract(client, client.get_gallery(_GALLERY).contract)
        identify = [lambda picture=picture: client.identify(_GALLERY, picture) for picture in self._pictures[:2]]
        rate = self._load * per_second(identify, _CAPACITY_SECONDS)
        console.err.print(f"{rate:.1f} live searches a second")
        with LiveLoad(address, _GALLERY, self._pictures, rate) as live:
            quiet = live.measure(self._seconds)
            started = time.perf_counter()
            client.start_migration(_GALLERY, contract)
            during = live.measure(0, lambda: is_embedded(client.get_gallery(_GALLERY)))
            took = time.perf_counter() - started
            quiet += live.measure(self._seconds)
            client.update_migration(_GALLERY, threshold=DEFAULT_THRESHOLD)
            client.switch_migration(_GALLERY)
            live.measure(1)
            client.roll_back_migration(_GALLERY)
            live.measure(1)
            client.switch_migration(_GALLERY)
            live.measure(1)
            client.finish_migration(_GALLERY)
            live.measure(1, lambda: is_over(client.get_gallery(_GALLERY), contract))
            live.measure(1)
            failures = live.failures
        after = search(client, _GALLERY, self._probes, "Searching with the new model")
        migrated = exported(client, _GALLERY)
        scratch, answers = self._from_scratch(scratch_flags, self._enrolled)
        gallery = client.get_gallery(_GALLERY)
        return Way(
            to_model=_name_of(client, contract),
            templates=gallery.template_count,
            templates_per_s=round(gallery.template_count / took, 1),
            searches=len(during),
            live_p99_ms=percentile(during, 99),
            live_p99_before_ms=percentile(quiet, 99),
            live_p99_ratio=round(percentile(during, 99) / percentile(quiet, 99), 3),
            live_mean_ratio=round((sum(during) / len(during)) / (sum(quiet) / len(quiet)), 3),
            failed_searches=len(failures),
            failures=tuple(sorted(set(failures))),
            rank_1_before=before.rank_1,
            rank_1=after.rank_1,
            fnir=after.fnir,
            rank_1_difference=round(after.rank_1 - answers.rank_1, 6),
            fnir_difference=round(after.fnir - answers.fnir, 6),
            different_answers=sum(one != other for one, other in zip(after.best, answers.best, strict=True)),
            difference=difference(migrated, scratch),
        )

    def _from_scratch(self, flags: tuple[str, ...], enrolled: Sequence[Entry]) -> tuple[Templates, Answers]:
        """Enrol pictures with one model only."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            place = (*self._flags("scratch"), "--gallery.database", str(Path(folder) / "scratch.sqlite3"))
            with local_process(*place, *flags) as server, Client(server.address) as client:
                enroll(client, _GALLERY, enrolled)
                answers = search(client, _GALLERY, self._probes, "Searching the gallery that was enrolled anew")
                return exported(client, _GALLERY), answers

    def _flags(self, name: str) -> tuple[str, ...]:
        database = str(self._folder / f"{name}.sqlite3")
        return ("--models.objects", "none", "--enrollment.keep-crops", "--gallery.database", database)


def _every(entries: Sequence[Entry], most: int) -> Sequence[Entry]:
    """At most so many entries, evenly spaced."""
    return [entries[number * len(entries) // most] for number in range(most)] if len(entries) > most else entries


def _is_about(probe: Entry, subjects: Collection[str]) -> bool:
    return probe.role == "nonmated" or probe.subject in subjects


def _packaged_model(flags: tuple[str, ...]) -> str:
    with local_process(*flags) as server, Client(server.address) as client:
        return client.get_server_info().embedding_models[0].name


def _other_contract(client: Client, contract: str = "") -> str:
    """The contract of the model that a gallery does not have; by default that of the second one."""
    models = client.get_server_info().embedding_models
    own = contract or models[0].contract
    return next(each.contract for each in models if each.contract != own)


def _name_of(client: Client, contract: str) -> str:
    models = client.get_server_info().embedding_models
    return next(each.name for each in models if each.contract == contract)


def _missed(ways: Sequence[Way], killed: Killed | None, switched: Switching) -> list[str]:
    """The bars that are missed, in words."""
    missed = []
    for way in ways:
        bars = (
            (way.failed_searches > 0, "failed searches"),
            (way.live_p99_ratio > _MOST_RATIO, "live p99"),
            (way.rank_1_difference != 0 or way.fnir_difference != 0, "rank-1 or FNIR"),
            (_is_different(way.difference), "templates"),
        )
        missed += [f"{said} (to {way.to_model})" for is_missed, said in bars if is_missed]
    if killed is not None and _is_different(killed.difference):
        missed.append("templates after kills")
    if max(switched.switch_ms, switched.rollback_ms) > _MOST_SWITCH_MS:
        missed.append("switch or rollback")
    return missed


def _is_different(found: Difference) -> bool:
    return bool(found.only_one or found.different)


def _document(there: Way, back: Way, killed: Killed | None, switched: Switching, missed: list[str]) -> dict[str, Any]:
    ways = (there, back)
    return {
        "failed_searches": sum(way.failed_searches for way in ways),
        "rank_1_difference": max((way.rank_1_difference for way in ways), key=abs),
        "templates_per_s": min(way.templates_per_s for way in ways),
        "live_p99_ratio": max(way.live_p99_ratio for way in ways),
        "there": asdict(there),
        "back": asdict(back),
        "killed": None if killed is None else asdict(killed),
        "switching": asdict(switched),
        "missed": missed,
    }


def _print(ways: Sequence[Way], killed: Killed | None, switched: Switching, missed: list[str]) -> None:
    for way in ways:
        shown = listing(f"To {way.to_model}: {way.templates:,} templates", columns=3)
        shown.add_row("templates a second", f"{way.templates_per_s:g}", "with the live searches beside")
        shown.add_row("live p99", f"{way.live_p99_ratio:g} times", f"{way.live_p99_ms:g} ms; at most {_MOST_RATIO:g}")
        shown.add_row("live mean", f"{way.live_mean_ratio:g} times", f"of {way.searches} searches")
        shown.add_row("failed searches", str(way.failed_searches), ", ".join(way.failures) or "at most 0")
        shown.add_row("rank-1", f"{way.rank_1:.4f}", f"{way.rank_1_before:.4f} with the old model")
        shown.add_row("rank-1 of one enrolled anew", f"{-way.rank_1_difference:+g}", "the same")
        shown.add_row("FNIR of one enrolled anew", f"{-way.fnir_difference:+g}", "the same")
        shown.add_row("templates that differ", *_in_words(way.difference))
        console.out.print(shown)
    if killed is not None:
        shown = listing(f"Killed {killed.kills} times", columns=3)
        shown.add_row("templates that differ", *_in_words(killed.difference))
        console.out.print(shown)
    shown = listing(f"{switched.templates:,} templates, at most {_MOST_SWITCH_MS:g} ms", columns=3)
    shown.add_row("switch", f"{switched.switch_ms:g} ms", f"median {switched.switch_median_ms:g} ms")
    shown.add_row("rollback", f"{switched.rollback_ms:g} ms", f"median {switched.rollback_median_ms:g} ms")
    console.out.print(shown)
    console.out.print(f"missed: {', '.join(missed)}" if missed else "all bars are met")


def _in_words(found: Difference) -> tuple[str, str]:
    missing = f"; {found.only_one} only in one" if found.only_one else ""
    return f"{found.different} of {found.templates}", f"by at most {found.largest:g}{missing}"

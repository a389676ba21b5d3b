"""A calibration from the evidence that the options name: read once, sent as often as there are models, and reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from facet import Client, FailedPrecondition
from facet.cli.calibrate import forecasts
from facet.cli.calibrate.options import CalibrationOptions
from facet.cli.calibrate.report import UNREADABLE, Request, print_answer, print_refusal
from facet.cli.calibrate.suspects import write_page
from facet.cli.shared import choices, probes
from facet.terminal import console
from facet.terminal.connection import Connection
from facet.terminal.pictures.files import Unsendable, most_bytes
from facet.terminal.rendering import as_dict
from facet.v1 import gallery_service_pb2 as pb


class Calibration:
    """Calibrates a gallery. Making one finds the pictures; exits with a usage error if that fails.

    Args:
        gallery: the gallery.
        options: the options.
        connection: the server's.
        command: how the command is typed, for hints.

    Raises:
        BadParameter: the options contradict each other.
    """

    def __init__(
        self, gallery: str, options: CalibrationOptions, connection: Connection, command: str = "facet calibrate"
    ) -> None:
        options.check()
        self._gallery, self._options = gallery, options
        self._face = choices.parse(options.face)
        self._found: list[probes.Probe] = []
        self._failures: Counter[str] = Counter()
        self._messages: probes.ProbeMessages | None = None
        self._etag = ""
        if options.protocol is not None and options.images is not None:
            self._found = probes.in_protocol(options.protocol, options.images, also_mated=options.also_mated)
        elif options.people is not None:
            self._found, self._failures = probes.in_folder(options.people, skip_unclear=options.skip_unreadable)
        self.request = Request(
            gallery,
            options.fpir,
            against_itself=not self._found,
            suspects_count=not options.without_suspects,
            dry_run=options.dry_run,
            insists=options.insist,
            address=connection.address,
            page=options.page,
            command=command,
        )

    @property
    def is_complete(self) -> bool:
        """Whether all pictures were read; known after the report."""
        return not UNREADABLE & self._failures.keys()

    def prepare(self, client: Client, etag: str) -> None:
        """Check the files before anything is sent; exits if one cannot be, unless it may be skipped.

        Args:
            client: the connection.
            etag: the gallery's, as it was when the calibration began.
        """
        self._etag = etag
        if self._found:
            most = most_bytes(client)
            self._found, unreadable = probes.readable(self._found, most, skip_unreadable=self._options.skip_unreadable)
            self._failures += unreadable
            self._messages = probes.ProbeMessages(self._found, self._face, most)

    def ask(
        self, client: Client, *, contract: str = "", dry_run: bool = False, doing: str = "searching"
    ) -> pb.CalibrateGalleryResponse:
        """Make the call, with a progress bar.

        Args:
            client: the connection.
            contract: the embedding contract of the model; empty for that of the gallery.
            dry_run: change nothing, whatever the options say.
            doing: shown beside the bar.

        Raises:
            FacetError: as :meth:`facet.Client.calibrate`.
        """
        options = self._options
        with console.progress(doing, len(self._messages or ())) as bar:

            def advance(sent: int) -> None:
                bar.update(bar.task_ids[0], completed=sent)

            try:
                return client.calibrate(
                    self._gallery,
                    options.fpir,
                    self._messages,
                    for_template_count=options.for_templates or None,
                    cohort_gallery_id=options.cohort,
                    data_set=(options.protocol or options.people or Path()).name,
                    without_suspects=options.without_suspects,
                    insist=options.insist,
                    validate_only=dry_run or options.dry_run,
                    etag=self._etag,
                    contract=contract,
                    progress=advance,
                )
            except Unsendable as error:
                console.fail(f"{error.reason}: {error.message}; nothing was changed")

    def write_page(self, client: Client, response: pb.CalibrateGalleryResponse) -> bool:
        """Write the page of suspects, if there is to be one; a failure is only reported, as the threshold is decided.

        Returns:
            Whether it is written, or need not be.
        """
        page = self._options.page
        if page is None:
            return True
        try:
            write_page(page, client, self.request, response, self._found)
        except OSError as error:
            console.err.print(f"cannot write {page}: {error.strerror}")
            return False
        return True

    def report(
        self, response: pb.CalibrateGalleryResponse, *, as_json: bool, more: Mapping[str, object] | None = None
    ) -> None:
        """Print the answer; ``more`` is added to its JSON."""
        for position in response.unreadable_probes:
            console.err.print(f"{self._found[position].path}: not a readable picture, not counted")
        self._failures.update(response.failures)
        if as_json:
            said = {"failures": self._failures, "dry_run": self._options.dry_run}
            console.print_json(as_dict(response) | said | dict(more or {}))
        else:
            print_answer(response, self._failures, self.request)

    def report_refusal(
        self, client: Client, error: FailedPrecondition, threshold: float, *, contract: str = "", as_json: bool
    ) -> None:
        """Say why the threshold is unreliable, and what to do, and write the page; exits if there is no threshold.

        Args:
            client: the connection.
            error: the refusal.
            threshold: the threshold that stays.
            contract: the embedding contract that was asked for.
            as_json: print JSON.

        Raises:
            FailedPrecondition: the error is another one.
        """
        if error.reason == "TOO_FEW_SEARCHES":
            with_model = f"with {self.request.model}: " if self.request.model else ""
            console.fail(f"{error.reason}: {with_model}{error.message}. {_more_searches(error.metadata)}")
        if error.reason != "CALIBRATION_UNRELIABLE":
            raise error
        if as_json:
            forecast = as_dict(forecasts.from_metadata(error.metadata))
            refused = {"reason": error.reason, "threshold": float(error.metadata["threshold"]), "forecast": forecast}
            console.print_json({"refused": refused, "dry_run": False})
            console.err.print(f"{error.reason}: {error.message}")
        else:
            print_refusal(error, threshold, self.request)
        if self._options.page is not None:
            # The error has no suspects, the answer to a dry run has.
            shown = self.ask(client, contract=contract, dry_run=True)
            if self.write_page(client, shown):
                console.err.print(f"the faces of suspects side by side: {self._options.page}")


def _more_searches(counts: Mapping[str, str]) -> str:
    """What to do if there are too few searches, from the error's metadata."""
    return (
        f"Use --strangers FOLDER with at least {counts['needed']} pictures of at least {counts['people_needed']} "
        "people who are not enrolled, or search for other people with --cohort GALLERY"
    )

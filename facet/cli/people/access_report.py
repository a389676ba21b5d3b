"""``facet people access-report``: everything about one person, as a ZIP file for the person."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import typer

from facet import Client
from facet.cli.people.missing import subject_errors
from facet.cli.people.options import Gallery, SubjectId
from facet.terminal import console, private_files
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import counted, in_bytes
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.rendering import as_dict
from facet.terminal.visible import json_line
from facet.v1 import gallery_service_pb2 as pb
from facet.v1.recognition_service_pb2 import Decision, Verdict

_PAGE = 1000

_README = """This archive holds everything that a Facet server stores about one person in
one gallery.

person.json   The person, and every enrolled face ("template").
              subject: id, display name and times; if it is stored, what the
              person agreed to, and until when.
              templates: when a face was enrolled, the SHA-256 of its picture
              (the picture itself is not stored), where the face was in it
              (box, in pixels), its quality (0 to 1), the models that measured
              it (their SHA-256), the ids of the requests that enrolled it, and
              its embedding: the numbers by which the face is recognised. There
              are two embeddings while the server changes its recognition model.
              outcomes: answers of the server about this person that somebody
              said to be right or wrong: when and where a face was compared,
              whether the person was the most similar one, whether it truly was
              the person, and when that was said.
crops/        The stored cut-outs of the faces, named by the ids of templates.

Beyond these outcomes, the server does not store pictures, searches, or who was
seen when. Copies that were made before are not in this archive: exports,
backups, and what programs wrote that asked the server (lists of results, events
of cameras, logs). Ask whoever runs the server for these. Times are in UTC.
"""


@grouped_options
def access_report(
    subject: SubjectId,
    output: Annotated[Path, typer.Option(help="The ZIP file to write.", show_default=False)],
    gallery: Gallery = "default",
    replace: Annotated[bool, typer.Option("--replace", help="Replace the file if it exists.")] = False,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Write everything that the server stores about a person to a ZIP file, for the person.

    The file holds [b]person.json[/b] (the subject, all templates with their embeddings, and what was said about
    answers that name the person), [b]crops/[/b] (the stored faces as PNG), and a [b]README.txt[/b] in plain words,
    and nothing of anybody else. Only you can read it. It appears once it is complete.
    """
    if output.exists() and not replace:
        console.fail(f"{output} exists: add --replace to replace it", console.USAGE)
    try:
        with (
            connection.open() as client,
            subject_errors(client, gallery, subject),
            console.telling_when_stopped(lambda: f"{output} was not written"),
            interrupted_by_sigterm(),
            private_files.appearing(output) as file,
        ):
            templates, crops = _write(client, gallery, subject, file)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        with output.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
    except OSError as error:
        console.fail(f"cannot write {output}: {error.strerror}")
    if as_json:
        found = {"file": str(output), "templates": templates, "crops": crops, "bytes": size, "sha256": digest}
        console.print_json({"gallery": gallery, **found})
    else:
        kept = f"{counted(templates, 'template')} and {counted(crops, 'crop')}"
        console.out.print(f"{kept} in {output}, {in_bytes(size)}, SHA-256 {digest}")


def _write(client: Client, gallery: str, subject: str, file: BinaryIO) -> tuple[int, int]:
    """Write the archive as the answer arrives; return the number of templates and of crops."""
    person: dict[str, object] = {}
    templates: list[dict[str, object]] = []
    crops = 0
    with ZipFile(file, "w", ZIP_DEFLATED) as archive, closing(client.export_subject(gallery, subject)) as parts:
        archive.writestr("README.txt", _README)
        for part in parts:
            if part.HasField("subject"):
                person = as_dict(part.subject)
                continue
            name = f"crops/{part.template.template.template_id}.png" if part.template.crop else None
            if name is not None:
                archive.writestr(name, part.template.crop, ZIP_STORED)
                crops += 1
            templates.append(_plain(part.template, name))
        made = datetime.now(UTC).isoformat(timespec="seconds")
        outcomes = [
            _outcome(each, subject)
            for each in client.iter_outcomes(gallery, page_size=_PAGE)
            if subject in (each.subject_id, each.true_subject_id)
        ]
        whole = {"created": made, "subject": person, "templates": templates, "outcomes": outcomes}
        archive.writestr("person.json", json_line(whole))
    return len(templates), crops


def _outcome(said: pb.Outcome, subject: str) -> dict[str, object]:
    """What was said about an answer, without whom else it names."""
    is_candidate = said.subject_id == subject
    return {
        "answer_time": said.answer_time.ToJsonString(),
        "source": said.source,
        "decision": Decision.Name(said.decision).removeprefix("DECISION_").lower(),
        "was_most_similar": is_candidate,
        "similarity": said.similarity if is_candidate and said.HasField("similarity") else None,
        "model": said.model,
        "truly_was_the_person": said.true_subject_id == subject,
        "verdict": Verdict.Name(said.verdict).removeprefix("VERDICT_").lower(),
        "report_time": said.report_time.ToJsonString(),
    }


def _plain(stored: pb.StoredTemplate, crop: str | None) -> dict[str, object]:
    about = {"embedding": as_dict(stored.embedding), "request_ids": list(stored.request_ids), "crop": crop}
    if stored.HasField("other_embedding"):
        about["other_embedding"] = as_dict(stored.other_embedding)
    return as_dict(stored.template) | about

"""``facet people list``."""

from __future__ import annotations

from facet.cli.people.options import Gallery, utc
from facet.cli.shared import terms
from facet.terminal import console
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.counts import counted
from facet.terminal.rendering import as_dict, threshold_line
from facet.terminal.tables import number, table, whole


@grouped_options
def list_people(
    gallery: Gallery = "default",
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """List the people of a gallery."""
    with connection.open() as client:
        found = client.get_gallery(gallery)
        subjects = list(client.iter_subjects(gallery))
    if as_json:
        summary = {
            "gallery": gallery,
            "threshold": found.threshold,
            "calibration_state": as_dict(found)["calibration_state"],
        }
        console.print_json(summary | {"subjects": [as_dict(subject) for subject in subjects]})
        return
    has_consents = found.policy.require_consent or any(each.HasField("consent") for each in subjects)
    has_expiries = any(each.HasField("effective_expire_time") for each in subjects)
    rows = table(
        "subject",
        "name",
        number("templates"),
        whole("enrolled (UTC)"),
        *(["consent"] if has_consents else []),
        *([whole("expires (UTC)")] if has_expiries else []),
        title=f"{gallery}: {counted(len(subjects), 'person')}",
    )
    for subject in subjects:
        terms_of = []
        if has_consents:
            terms_of.append(terms.describe(subject.consent) if subject.HasField("consent") else "none")
        if has_expiries:
            has_expiry = subject.HasField("effective_expire_time")
            terms_of.append(utc(subject.effective_expire_time) if has_expiry else "never")
        shown = (subject.subject_id, subject.display_name, str(subject.template_count), utc(subject.create_time))
        rows.add_row(*shown, *terms_of)
    console.out.print(rows)
    console.out.print(threshold_line(found))

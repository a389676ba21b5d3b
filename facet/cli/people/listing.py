"""``facet people list``."""

from __future__ import annotations

from facet.cli.people.options import Gallery, utc
from facet.terminal import console
from facet.terminal.counts import counted
from facet.terminal.rendering import as_dict, threshold_line
from facet.terminal.tables import number, table, whole


def list_people(
    gallery: Gallery = "default",
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    client_certificate: console.ClientCertificate = None,
    client_key: console.ClientKey = None,
    as_json: console.AsJson = False,
) -> None:
    """List the people of a gallery."""
    with console.connect(address, token, root_certificates, client_certificate, client_key) as client:
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
    rows = table(
        "subject",
        "name",
        number("templates"),
        whole("enrolled (UTC)"),
        title=f"{gallery}: {counted(len(subjects), 'person')}",
    )
    for subject in subjects:
        rows.add_row(subject.subject_id, subject.display_name, str(subject.template_count), utc(subject.create_time))
    console.out.print(rows)
    console.out.print(threshold_line(found))

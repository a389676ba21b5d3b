"""``facet people rename``."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from facet.cli.people.options import Gallery, SubjectId
from facet.terminal import console
from facet.terminal.rendering import as_dict
from facet.v1 import gallery_service_pb2 as pb


def rename(
    subject: SubjectId,
    name: Annotated[str, typer.Argument(help="The new name.", show_default=False)],
    gallery: Gallery = "default",
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Change a person's display name. The id stays the same."""
    with console.connect(address, token, root_certificates) as client:
        request = pb.UpdateSubjectRequest(
            subject=pb.Subject(gallery_id=gallery, subject_id=subject, display_name=name),
            update_mask=FieldMask(paths=["display_name"]),
        )
        renamed = client.galleries.UpdateSubject(request).subject
    if as_json:
        console.print_json(as_dict(renamed))
    else:
        console.out.print(f"{renamed.subject_id} is now {renamed.display_name}")

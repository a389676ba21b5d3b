"""Enrol a person, identify the people in a picture, read the details of an error, and stream frames.

python recognize.py PORTRAIT GROUP [HOST:PORT]

PORTRAIT shows one person, GROUP several. FACET_TOKEN, FACET_CA, FACET_CERTIFICATE and FACET_KEY are the caller's key
and certificates, if the server asks for them.

Exit code: 0 done, 1 a picture cannot be read or the server answers with an error, 2 bad usage.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from facet import Client, FacetError, FailedPrecondition, stream_frame
from facet.v1.recognition_service_pb2 import DECISION_MATCH, StreamSettings, TrackEventKind


def main(portrait: str, group: str, address: str = "127.0.0.1:50051") -> None:
    """Run all steps in a gallery that is deleted at the end."""
    gallery = f"example-{time.time_ns()}"
    with Client(address) as client:  # with the key and the certificates that the environment names
        client.create_gallery(gallery)
        try:
            enroll_and_identify(client, gallery, portrait, group)
            show_error(client, gallery, group)
            stream(client, gallery, [portrait] * 3)
        finally:
            client.delete_gallery(gallery, force=True)


def enroll_and_identify(client: Client, gallery: str, portrait: str, group: str) -> None:
    """Enrol a person and find him in the group."""
    enrolled = client.enroll(gallery, "yao-ming", portrait, display_name="Yao Ming")
    print(f"enrolled Yao Ming, template {enrolled.template.template_id}")
    faces = client.identify(gallery, group).faces
    for face in faces:
        if face.identification.decision == DECISION_MATCH:
            best = face.identification.candidates[0]  # the most similar subject first
            print(f"identified {best.display_name}, similarity {best.similarity:.2f}")
    print(f"{len(faces)} faces in all")


def show_error(client: Client, gallery: str, group: str) -> None:
    """An error has a class for its status code, and a stable reason from its google.rpc details."""
    try:
        client.enroll(gallery, "somebody", group)
    except FailedPrecondition as error:
        print(f"refused: FAILED_PRECONDITION {error.reason}")


def stream(client: Client, gallery: str, pictures: Sequence[str]) -> None:
    """Send frames and print the events. A camera leaves ``lossless`` out, so that the newest frame wins."""
    settings = StreamSettings(gallery_id=gallery, camera="example", lossless=True)
    # 10 frames a second. Only differences between capture times count.
    frames = (stream_frame(number, picture, number / 10) for number, picture in enumerate(pictures, start=1))
    for answer in client.identify_stream(settings, frames):
        for event in answer.events:
            kind = TrackEventKind.Name(event.kind)
            print(f"frame {answer.frame_id}: track {event.track_id} {kind} {event.display_name}")
        print(f"frame {answer.frame_id}: {len(answer.tracks)} tracks")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        print("usage: python recognize.py PORTRAIT GROUP [HOST:PORT]", file=sys.stderr)
        sys.exit(2)
    try:
        main(*sys.argv[1:])
    except (FacetError, OSError) as error:
        sys.exit(f"failed: {error}")

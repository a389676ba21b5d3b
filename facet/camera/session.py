"""A camera's frames through one stream, and through another where it breaks, until there are no more."""

from __future__ import annotations

import time
from collections.abc import Callable

from facet import Client, FacetError
from facet.camera.frame_sender import Outbox
from facet.camera.source import Frame
from facet.client.retry import FINAL, FIRST_PAUSE, Retry
from facet.terminal.interruption import Interruption
from facet.v1 import recognition_service_pb2 as pb

_STALLED = "TRANSFER_STALLED"

Took = Callable[[int, pb.IdentifyStreamResponse, Frame | None], bool]
"""Told the number of the stream, an answer, and the frame that it is about, unless that was given up; whether to
go on."""


def run(
    client: Client,
    settings: pb.StreamSettings,
    outbox: Outbox,
    took: Took,
    say: Callable[[str], None],
    wait_seconds: float | None,
    told: Interruption,
) -> None:
    """Send frames, and take their answers, until there are no more frames or nobody wants answers.

    Args:
        client: of the server.
        settings: of every stream.
        outbox: has the frames.
        took: takes the answers.
        say: told for people that the server went away, and came back.
        wait_seconds: for how long to try where no server answers; ``None`` for ever.
        told: whether to end.

    Raises:
        FacetError: the server refuses the stream, or did not come back.
        SourceError: the source did not come back.
        KeyboardInterrupt: the script was told to end.
    """
    retry = Retry(wait_seconds)
    connection, pause = 0, 0.0
    while True:
        with told.waiting():
            if not outbox.wait():
                return
            time.sleep(pause)
        connection += 1
        pause = FIRST_PAUSE
        answers = client.identify_stream(settings, outbox.again())
        try:
            while True:
                with told.waiting():
                    answer = next(answers, None)
                if answer is None:
                    break
                if retry.failing:
                    say("the server is back")
                retry.succeeded()
                if not took(connection, answer, outbox.answered(answer.frame_id)):
                    return
        except FacetError as error:
            if error.code in FINAL:
                raise
            if error.reason != _STALLED:  # else the source was away, which has been told
                if not retry.failing:
                    say(f"{error.message or error.code.name}: trying again")
                if (again := retry.failed(error.retry_after)) is None:
                    raise
                pause = again
        finally:
            answers.close()

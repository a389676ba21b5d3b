"""Sends a camera's frames through one stream, and through another if it breaks, until there are no more."""

from __future__ import annotations

import time
from collections.abc import Callable

from facet import Client, FacetError
from facet.camera.frame_sender import FrameSender
from facet.camera.reader import Frame
from facet.client.retry import FINAL, FIRST_PAUSE, Retry
from facet.terminal.interruption import Interruption
from facet.v1 import recognition_service_pb2 as pb

_STALLED = "TRANSFER_STALLED"

OnAnswer = Callable[[int, pb.IdentifyStreamResponse, Frame | None], bool]
"""Receives the number of the stream, an answer, and its frame (``None`` if that was given up or the answer is about no
frame). Returns whether to continue."""


def run(
    client: Client,
    settings: pb.StreamSettings,
    sender: FrameSender,
    on_answer: OnAnswer,
    say: Callable[[str], None],
    wait_seconds: float | None,
    interruption: Interruption,
) -> None:
    """Send frames and receive their answers until there are no more frames or ``on_answer`` returns false.

    Args:
        client: of the server.
        settings: of every stream.
        sender: has the frames.
        on_answer: receives the answers.
        say: prints for people that the server went away and came back.
        wait_seconds: how long to try if no server answers; ``None`` for ever.
        interruption: whether the program was told to end.

    Raises:
        FacetError: the server refuses the stream, or did not come back.
        SourceError: the source did not come back.
        KeyboardInterrupt: the program was told to end.
    """
    retry = Retry(wait_seconds)
    connection, pause = 0, 0.0
    while True:
        with interruption.waiting():
            if not sender.wait():
                return
            time.sleep(pause)
        connection += 1
        pause = FIRST_PAUSE
        answers = client.identify_stream(settings, sender.new_stream())
        try:
            while True:
                with interruption.waiting():
                    answer = next(answers, None)
                if answer is None:
                    break
                if retry.failing:
                    say("the server is back")
                retry.succeeded()
                if not on_answer(connection, answer, sender.answered(answer.frame_id)):
                    return
        except FacetError as error:
            if error.code in FINAL:
                raise
            if error.reason != _STALLED:  # a stall means that the source is away, which has been said
                if not retry.failing:
                    say(f"{error.message or error.code.name}: trying again")
                if (again := retry.failed(error.retry_after)) is None:
                    raise
                pause = again
        finally:
            answers.close()

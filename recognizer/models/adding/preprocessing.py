"""What a recogniser's input is: its axes, its side, its order of channels, its mean and scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.inference.session import Session
from facet.runtime.models import UnsupportedModel
from recognizer.alignment import CROP_SIZE

Channels = Literal["rgb", "bgr"]
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a recogniser takes the samples of a picture: ``(sample - mean) / std``, for samples of 0 to 255.

    Attributes:
        channels: their order in the model's input.
        mean: of red, green and blue, whatever ``channels`` is.
        std: of red, green and blue, greater than 0.
    """

    channels: Channels
    mean: Triple
    std: Triple

    def __str__(self) -> str:
        """Return it as people read it, such as "RGB, mean 127.5, std 127.5"."""
        return f"{self.channels.upper()}, mean {_plain(self.mean)}, std {_plain(self.std)}"


INSIGHTFACE_INPUT = Preprocessing("rgb", (127.5,) * 3, (127.5,) * 3)
RAW_INPUT = Preprocessing("rgb", (0.0,) * 3, (1.0,) * 3)

SCALES: tuple[tuple[Triple, Triple], ...] = (
    (INSIGHTFACE_INPUT.mean, INSIGHTFACE_INPUT.std),
    ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),  # ImageNet's
    ((0.0,) * 3, (255.0,) * 3),
    (RAW_INPUT.mean, RAW_INPUT.std),
)
"""Mean and std that recognisers are trained with. A std of 128 instead of 127.5 gives the same embeddings, up to a
similarity of 0.9999, and is not among them."""


@dataclass(frozen=True, slots=True)
class InputForm:
    """The shape of a recogniser.

    Attributes:
        batch: its fixed number of pictures; ``None`` if any number runs.
        side: of its square input, pixels.
        channels_last: the axes are ``(n, h, w, 3)`` instead of ``(n, 3, h, w)``.
        flat: its output is ``(n, d)``, without axes of length 1.
        output: the place of this output among those of the model.
        is_plain: it has no other output, and both input and output are float32.
    """

    batch: int | None
    side: int
    channels_last: bool
    flat: bool
    output: int = 0
    is_plain: bool = True

    @classmethod
    def of(cls, session: Session, name: str, output: int | None = None) -> InputForm:
        """Read the form of a model.

        Args:
            session: of the model.
            name: of the model, for messages.
            output: the place of the output that holds the embedding; ``None``: the only one.

        Raises:
            UnsupportedModel: it takes no square pictures of three channels, or does not give one vector for each.
        """
        shape, outputs = session.input.shape, [output.shape for output in session.outputs]
        channels_last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
        sides = set(shape[1:3] if channels_last else shape[2:])
        pictures = len(shape) == 4 and shape[3 if channels_last else 1] == 3 and len(sides) == 1
        place = 0 if output is None else output
        if not pictures or place not in vector_outputs(session) or (output is None and len(outputs) > 1):
            raise UnsupportedModel(
                f"{name} is neither a face detector nor a recogniser: expected square pictures (n, 3, s, s) or "
                f"(n, s, s, 3) in and one vector (n, d) each out, found input {shape} and outputs {outputs}"
            )
        is_half = session.input.is_half or session.outputs[place].is_half
        return cls(
            batch=shape[0],
            side=sides.pop() or CROP_SIZE,
            channels_last=channels_last,
            flat=len(outputs[place]) == 2,
            output=place,
            is_plain=len(outputs) == 1 and not is_half,
        )

    @property
    def is_the_servers(self) -> bool:
        """Whether :class:`recognizer.embedding.Embedder` takes models of this form."""
        return (
            self.batch in (None, 1)
            and self.side == CROP_SIZE
            and not self.channels_last
            and self.flat
            and self.is_plain
        )

    def blob(self, crops: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
        """The model's input for aligned faces, BGR ``(n, 112, 112, 3)``."""
        if self.side != CROP_SIZE:
            crops = np.stack([np.asarray(cv2.resize(crop, (self.side, self.side)), np.uint8) for crop in crops])
        samples = crops[..., ::-1].astype(np.float32) - np.array(preprocessing.mean, np.float32)
        samples /= np.array(preprocessing.std, np.float32)
        if preprocessing.channels == "bgr":
            samples = samples[..., ::-1]
        return np.ascontiguousarray(samples if self.channels_last else samples.transpose(0, 3, 1, 2), np.float32)


def vector_outputs(session: Session) -> list[int]:
    """The places of the outputs ``(n, d)``, ``(n, d, 1, 1)`` or ``(n, 1, 1, d)``: one vector for each picture."""
    shapes = [output.shape for output in session.outputs]
    return [
        place
        for place, shape in enumerate(shapes)
        if len(shape) in (2, 4) and sum(axis != 1 for axis in shape[1:]) == 1
    ]


def _plain(values: Triple) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else ", ".join(f"{value:g}" for value in values)

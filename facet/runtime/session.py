"""What the rooms above need of an inference engine, and ONNX Runtime behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from facet.runtime.inference_slots import InferenceSlots
from facet.runtime.models import UnsupportedModel

CPU_PROVIDER = "CPUExecutionProvider"

Precision = Literal["bf16", "fp32"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that a model takes or gives.

    Attributes:
        name: its name in the graph.
        shape: one entry per axis; ``None`` where the graph leaves it open.
    """

    name: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Normalization:
    """What a model wants done to 8-bit samples: ``(sample - mean) / scale``."""

    mean: float
    scale: float

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Samples as the model wants them: of BGR pictures ``(n, h, w, 3)`` the planes of RGB ``(n, 3, h, w)``."""
        blob = np.asarray(cv2.dnn.blobFromImages(list(pictures), swapRB=True), np.float32)
        if self.mean:
            blob -= np.float32(self.mean)
        blob /= np.float32(self.scale)
        return blob


class Session(Protocol):
    """A loaded model of one input: the RGB planes ``(n, 3, h, w)`` of pictures. Safe to run from several threads."""

    @property
    def input(self) -> TensorSpec:
        """The only input."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs, in the order in which :meth:`run` gives them."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the exporter wrote into the file about the model."""

    @property
    def runtime(self) -> str:
        """What runs the model, and in which precision, such as "openvino bf16"."""

    def normalizing(self, normalization: Normalization) -> Self:
        """The same model for pictures that are to be normalised in this way; by default they are taken as they are."""

    def run(self, pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run the model once on BGR pictures ``(n, h, w, 3)``; the outputs in order."""


class OnnxSession:
    """A model on ONNX Runtime, in float32.

    Its threads do not spin: pools that fight for the same cores cost half the throughput.

    Args:
        path: an ONNX file.
        slots: the cores that all sessions share; by default one core for this session alone.
        providers: execution providers, in order of preference.

    Raises:
        UnsupportedModel: the file is no ONNX model that this runtime can load, or has several inputs.
    """

    def __init__(
        self, path: Path, *, slots: InferenceSlots | None = None, providers: tuple[str, ...] = (CPU_PROVIDER,)
    ) -> None:
        self._slots = slots or InferenceSlots(1, 1)
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._slots.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        available = ort.get_available_providers()
        if missing := [name for name in providers if name not in available]:
            raise UnsupportedModel(
                f"{path.name}: ONNX Runtime here has no {', '.join(missing)}; it has {', '.join(available)}"
            )
        try:
            self._session = ort.InferenceSession(path, options, providers=list(providers))
        except Exception as error:  # ONNX Runtime has no common base class for its errors
            raise UnsupportedModel(f"{path.name} is no model that ONNX Runtime can load: {error}") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise UnsupportedModel(f"{path.name}: expected one input, found {len(inputs)}")
        self.input = _spec(inputs[0])
        self.outputs = tuple(_spec(output) for output in self._session.get_outputs())
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._normalization = Normalization(0.0, 1.0)

    @property
    def runtime(self) -> str:
        """What runs the model."""
        provider = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        return f"onnxruntime {provider} fp32"

    def normalizing(self, normalization: Normalization) -> OnnxSession:
        """See :meth:`Session.normalizing`; both are one session of ONNX Runtime."""
        other = object.__new__(OnnxSession)
        other.__dict__ = {**self.__dict__, "_normalization": normalization}
        return other

    def run(self, pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run the model once; see :meth:`Session.run`."""
        blob = self._normalization(pictures)
        with self._slots:
            outputs: list[NDArray[np.float32]] = self._session.run(None, {self.input.name: blob})
        return outputs


def _spec(tensor: ort.NodeArg) -> TensorSpec:
    return TensorSpec(tensor.name, tuple(axis if isinstance(axis, int) else None for axis in tensor.shape))

"""The protocol of an inference session, and its implementation with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from facet.runtime.inference.providers import CPU_PROVIDER, cannot_start, short, usable
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import UnsupportedModel, read_model

Precision = Literal["bf16", "fp32"]


class InferenceFailed(Exception):
    """A model that runs could not run this time: memory or threads are short."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model.

    Attributes:
        name: its name in the graph.
        shape: one entry per axis; ``None`` for a dynamic axis.
        is_half: its numbers are float16.
    """

    name: str
    shape: tuple[int | None, ...]
    is_half: bool = False


@dataclass(frozen=True, slots=True)
class Normalization:
    """How a model's input is normalised: ``(sample - mean) / scale`` for 8-bit samples."""

    mean: float
    scale: float

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Convert BGR pictures ``(n, h, w, 3)`` to normalised RGB planes, float32 ``(n, 3, h, w)``."""
        blob = np.asarray(cv2.dnn.blobFromImages(list(pictures), swapRB=True), np.float32)
        if self.mean:
            blob -= np.float32(self.mean)
        blob /= np.float32(self.scale)
        return blob


class Session(Protocol):
    """A loaded model with one input, RGB planes ``(n, 3, h, w)``. Safe to run from several threads."""

    @property
    def input(self) -> TensorSpec:
        """The only input."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs, in the order of the results of :meth:`run`."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The metadata that the exporter wrote into the file."""

    @property
    def runtime(self) -> str:
        """Inference engine and precision, for example "openvino bf16"."""

    def normalizing(self, normalization: Normalization) -> Self:
        """Return a session of the same model that normalises its input; by default samples are not changed."""

    def run(self, pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run the model on BGR pictures ``(n, h, w, 3)`` and return its outputs in order.

        Raises:
            InferenceFailed: memory or threads are short.
        """


class OnnxSession:
    """A model on ONNX Runtime, in float32.

    Its threads do not spin: spinning thread pools that compete for the same cores halve the throughput.

    Args:
        path: an ONNX file.
        sha256: the digest that the file must have, hexadecimal; empty for any.
        slots: the cores that all sessions share; by default one core for this session.
        providers: execution providers, in order of preference. If the CPU is one of them, those that are missing or
            cannot start are left out; :attr:`runtime` says which one runs the model.

    Raises:
        UnsupportedModel: ONNX Runtime cannot load the file, a provider is missing or cannot start and the CPU is not
            asked for, or the model has several inputs.
        ModelError: see :func:`facet.runtime.models.read_model`.
    """

    def __init__(
        self,
        path: Path,
        *,
        sha256: str = "",
        slots: InferenceSlots | None = None,
        providers: tuple[str, ...] = (CPU_PROVIDER,),
    ) -> None:
        self._slots = slots or InferenceSlots(1, 1)
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._slots.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = _started(read_model(path, sha256), path.name, options, usable(providers))
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise UnsupportedModel(f"{path.name}: expected one input, found {len(inputs)}")
        self.input = _spec(inputs[0])
        self.outputs = tuple(_spec(output) for output in self._session.get_outputs())
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._normalization: Callable[[NDArray[np.uint8]], NDArray[np.float32]] = Normalization(0.0, 1.0)

    @property
    def runtime(self) -> str:
        """See :meth:`Session.runtime`."""
        return f"onnxruntime {short(self._session.get_providers()[0])} fp32"

    def normalizing(self, normalization: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> OnnxSession:
        """See :meth:`Session.normalizing`; both share one session of ONNX Runtime.

        Args:
            normalization: makes the model's input of BGR pictures ``(n, h, w, 3)``; any function, not only a
                :class:`Normalization`.
        """
        other = object.__new__(OnnxSession)
        other.__dict__ = {**self.__dict__, "_normalization": normalization}
        return other

    def run(self, pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """See :meth:`Session.run`; models that take or give float16 do so here."""
        blob: NDArray[np.floating] = self._normalization(pictures)
        if self.input.is_half:
            blob = blob.astype(np.float16)
        with self._slots:
            try:
                outputs: list[NDArray[Any]] = self._session.run(None, {self.input.name: blob})
            except Exception as error:  # ONNX Runtime has no common base class for its errors
                raise InferenceFailed(str(error)) from error
        return [
            found.astype(np.float32) if told.is_half else found
            for found, told in zip(outputs, self.outputs, strict=True)
        ]


def _started(
    content: bytes, name: str, options: ort.SessionOptions, providers: tuple[str, ...]
) -> ort.InferenceSession:
    """Start a session, without the providers that cannot start if the CPU is asked for."""
    try:
        session = ort.InferenceSession(content, options, providers=list(providers), enable_fallback=0)
    except Exception as error:  # ONNX Runtime has no common base class for its errors
        others = tuple(each for each in providers if each != CPU_PROVIDER)
        if others and CPU_PROVIDER in providers:
            return _started(content, name, options, (CPU_PROVIDER,))
        raise UnsupportedModel(f"ONNX Runtime cannot load {name}{_on(others)}: {error}") from error
    # A provider whose libraries are missing is left out without an error.
    idle = [each for each in providers if each not in session.get_providers()]
    if idle and CPU_PROVIDER not in providers:
        raise UnsupportedModel(f"{cannot_start(idle)}, or add {CPU_PROVIDER} to models.providers")
    return session


def _on(providers: tuple[str, ...]) -> str:
    return f" on {', '.join(map(short, providers))}" if providers else ""


def _spec(tensor: ort.NodeArg) -> TensorSpec:
    shape = tuple(axis if isinstance(axis, int) else None for axis in tensor.shape)
    return TensorSpec(tensor.name, shape, tensor.type == "tensor(float16)")

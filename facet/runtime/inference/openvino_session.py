"""The implementation of an inference session with OpenVINO."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from facet.runtime.inference.openvino_graph import keep_sensitive_exact, taking_pictures
from facet.runtime.inference.session import InferenceFailed, Normalization, Precision, TensorSpec
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import UnsupportedModel, read_model

MAX_SHAPES = 16
"""Maximum number of compiled graphs per session, one for each input shape; the least recently used is dropped."""


@cache
def _core() -> ov.Core:
    """The OpenVINO instance of this process."""
    return ov.Core()


class OpenVinoSession:
    """A model on OpenVINO's CPU plugin.

    The session compiles a graph for each input shape when that shape first occurs, in 0.1 to 0.3 s. Such graphs are a
    tenth faster than one with dynamic shapes, but each needs memory, so callers use few shapes.

    Args:
        path: an ONNX file.
        sha256: the digest that the file must have, hexadecimal; empty for any.
        slots: the cores that all sessions share; by default one core for this session.
        precision: ``"bf16"`` takes effect if the processor supports it; sensitive layers stay in float32 (see
            :mod:`facet.runtime.inference.openvino_graph`).

    Raises:
        UnsupportedModel: OpenVINO cannot load the file, or the model has several inputs.
        ModelError: see :func:`facet.runtime.models.read_model`.
    """

    def __init__(
        self, path: Path, *, sha256: str = "", slots: InferenceSlots | None = None, precision: Precision = "bf16"
    ) -> None:
        content = read_model(path, sha256)
        try:
            self._read = _core().read_model(content)
        except RuntimeError as error:
            raise UnsupportedModel(f"OpenVINO cannot load {path.name}: {error}") from error
        if len(self._read.inputs) != 1:
            raise UnsupportedModel(f"{path.name}: expected one input, found {len(self._read.inputs)}")
        self.input = _spec(self._read.inputs[0])
        self.outputs = tuple(_spec(output) for output in self._read.outputs)
        self.metadata: Mapping[str, str] = _metadata(self._read)
        self.precision: Precision = "bf16" if precision == "bf16" and computes_bf16() else "fp32"
        self._slots = slots or InferenceSlots(1, 1)
        self._reset(Normalization(0.0, 1.0))

    @property
    def runtime(self) -> str:
        """See :meth:`facet.runtime.inference.session.Session.runtime`."""
        return f"openvino {self.precision}"

    @property
    def compiled_graphs(self) -> int:
        """Number of compiled graphs in memory, at most :data:`MAX_SHAPES`."""
        return len(self._graphs)

    def normalizing(self, normalization: Normalization) -> OpenVinoSession:
        """See :meth:`facet.runtime.inference.session.Session.normalizing`; the graph normalises then."""
        other = object.__new__(OpenVinoSession)
        other.__dict__ = dict(self.__dict__)
        other._reset(normalization)
        return other

    def run(self, pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """See :meth:`facet.runtime.inference.session.Session.run`."""
        try:
            graph = self._graph(pictures.shape)
            with self._slots:
                return graph.run(pictures)
        except RuntimeError as error:
            raise InferenceFailed(str(error)) from error

    def _reset(self, normalization: Normalization) -> None:
        self._normalization = normalization
        self._prepared: ov.Model | None = None
        self._graphs: OrderedDict[tuple[int, ...], _Graph] = OrderedDict()
        self._compile_lock, self._graphs_lock = threading.Lock(), threading.Lock()

    def _graph(self, shape: tuple[int, ...]) -> _Graph:
        """Return the graph for a shape. Compiling one does not delay calls whose graph exists."""
        if (graph := self._cached(shape)) is not None:
            return graph
        with self._compile_lock:
            if (graph := self._cached(shape)) is not None:
                return graph
            graph = self._compile(shape)
            with self._graphs_lock:
                self._graphs[shape] = graph
                if len(self._graphs) > MAX_SHAPES:
                    self._graphs.popitem(last=False)
            return graph

    def _cached(self, shape: tuple[int, ...]) -> _Graph | None:
        with self._graphs_lock:
            graph = self._graphs.get(shape)
            if graph is not None:
                self._graphs.move_to_end(shape)
            return graph

    def _compile(self, shape: tuple[int, ...]) -> _Graph:
        if self._prepared is None:
            model = taking_pictures(self._read.clone(), self._normalization)
            self._prepared = keep_sensitive_exact(_core(), model) if self.precision == "bf16" else model
        model = self._prepared.clone()
        model.reshape(list(shape))
        options = {
            "INFERENCE_NUM_THREADS": self._slots.count * self._slots.threads,
            "NUM_STREAMS": self._slots.count,
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
            "ENABLE_CPU_PINNING": False,
        }
        return _Graph(_core().compile_model(model, "CPU", options), self._slots.count)


class _Graph:
    """A compiled graph with one inference request per slot."""

    def __init__(self, compiled: ov.CompiledModel, slots: int) -> None:
        self._requests = [compiled.create_infer_request() for _ in range(slots)]

    def run(self, pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run the graph; the caller holds a slot, so a request is free."""
        request = self._requests.pop()
        try:
            outputs = request.infer([np.ascontiguousarray(pictures)], share_inputs=True)
            return [np.asarray(outputs[index], np.float32) for index in range(len(outputs))]
        finally:
            self._requests.append(request)


def computes_bf16() -> bool:
    """Whether the processor has bf16 instructions."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _spec(port: Any) -> TensorSpec:
    shape = tuple(None if axis.is_dynamic else axis.get_length() for axis in port.partial_shape)
    return TensorSpec(port.any_name, shape)


def _metadata(model: ov.Model) -> dict[str, str]:
    """The exporter's metadata. OpenVINO keeps the properties of an ONNX file as runtime info "framework"."""
    if not model.has_rt_info("framework"):
        return {}
    return {name: str(value) for name, value in model.get_rt_info("framework").value.items()}

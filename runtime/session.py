"""What the rooms above need of an inference engine, and ONNX Runtime behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from runtime.models import UnsupportedModel


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that a model takes or gives.

    Attributes:
        name: its name in the graph.
        shape: one entry per axis; ``None`` where the graph leaves it open.
    """

    name: str
    shape: tuple[int | None, ...]


class Session(Protocol):
    """A loaded model of one input. Safe to run from several threads at once."""

    @property
    def input(self) -> TensorSpec:
        """The only input."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs, in the order in which :meth:`run` gives them."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the exporter wrote into the file about the model."""

    def run(self, blob: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the model once on a blob of the input's shape; the outputs in order."""


class OnnxSession:
    """A model on ONNX Runtime.

    One intra-op thread is the default: requests run side by side, one a core, and spinning thread pools that
    fight for the same cores cost half the throughput.

    Raises:
        UnsupportedModel: the file is no ONNX model that this runtime can load, or has several inputs.
    """

    def __init__(self, path: Path, *, threads: int = 1, providers: tuple[str, ...] = ("CPUExecutionProvider",)) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
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

    def run(self, blob: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the model once; see :meth:`Session.run`."""
        outputs: list[NDArray[np.float32]] = self._session.run(None, {self.input.name: blob})
        return outputs


def _spec(tensor: ort.NodeArg) -> TensorSpec:
    return TensorSpec(tensor.name, tuple(axis if isinstance(axis, int) else None for axis in tensor.shape))

"""Which runtime a model runs on."""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path
from typing import Literal

from facet.runtime.inference_slots import InferenceSlots
from facet.runtime.models import UnsupportedModel
from facet.runtime.session import CPU_PROVIDER, OnnxSession, Precision, Session

RuntimeName = Literal["auto", "openvino", "onnxruntime"]

_X86 = frozenset({"x86_64", "amd64"})


def open_session(
    path: Path,
    *,
    slots: InferenceSlots,
    runtime: RuntimeName = "auto",
    precision: Precision = "bf16",
    providers: tuple[str, ...] = (CPU_PROVIDER,),
) -> Session:
    """Load a model.

    Args:
        path: an ONNX file.
        slots: the cores that all sessions of the process share.
        runtime: ``"auto"`` is OpenVINO on x86 processors, where it is the faster of the two, and ONNX Runtime elsewhere
            and with execution providers of one's own.
        precision: of OpenVINO; ONNX Runtime computes in float32.
        providers: execution providers of ONNX Runtime, in order of preference.

    Raises:
        UnsupportedModel: the file is none that the runtime can load, or the runtime is not installed.
    """
    if runtime == "auto":
        runtime = "openvino" if providers == (CPU_PROVIDER,) and _openvino_is_faster() else "onnxruntime"
    if runtime == "onnxruntime":
        return OnnxSession(path, slots=slots, providers=providers)
    try:
        from facet.runtime.openvino_session import OpenVinoSession
    except ImportError as error:
        raise UnsupportedModel(f"{path.name}: the runtime openvino is not installed here: {error}") from error
    return OpenVinoSession(path, slots=slots, precision=precision)


def _openvino_is_faster() -> bool:
    """Measured on x86 in float32 and bf16 (docs/performance.md); on other processors it was not."""
    return platform.machine().lower() in _X86 and importlib.util.find_spec("openvino") is not None

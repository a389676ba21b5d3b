"""Chooses the inference engine of a model."""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path
from typing import Literal

from facet.runtime.inference.providers import CPU_PROVIDER, usable
from facet.runtime.inference.session import OnnxSession, Precision, Session
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import UnsupportedModel

RuntimeName = Literal["auto", "openvino", "onnxruntime"]

_X86 = frozenset({"x86_64", "amd64"})


def open_session(
    path: Path,
    *,
    slots: InferenceSlots,
    sha256: str = "",
    runtime: RuntimeName = "auto",
    precision: Precision = "bf16",
    providers: tuple[str, ...] = (CPU_PROVIDER,),
) -> Session:
    """Load a model.

    Args:
        path: an ONNX file.
        slots: the cores that all sessions of the process share.
        sha256: the digest that the file must have, hexadecimal; empty for any.
        runtime: ``"auto"`` selects OpenVINO on x86 processors, where it is faster, and ONNX Runtime on others or with
            execution providers other than the CPU.
        precision: of OpenVINO. ONNX Runtime always computes in float32.
        providers: execution providers of ONNX Runtime, in order of preference; see :class:`OnnxSession`.

    Raises:
        UnsupportedModel: the engine cannot load the file, or is not installed, or a provider is missing.
        ModelError: see :func:`facet.runtime.models.read_model`.
    """
    if runtime == "auto":
        runtime = "openvino" if usable(providers) == (CPU_PROVIDER,) and _openvino_is_faster() else "onnxruntime"
    elif runtime == "openvino" and providers and CPU_PROVIDER not in providers:
        asked = ", ".join(providers)
        raise UnsupportedModel(
            f"models.runtime is openvino, which runs on the CPU: set models.runtime to onnxruntime for {asked}"
        )
    if runtime == "onnxruntime":
        return OnnxSession(path, sha256=sha256, slots=slots, providers=providers)
    try:
        from facet.runtime.inference.openvino_session import OpenVinoSession
    except ImportError as error:
        raise UnsupportedModel(f"{path.name}: the runtime openvino is not installed here: {error}") from error
    return OpenVinoSession(path, sha256=sha256, slots=slots, precision=precision)


def _openvino_is_faster() -> bool:
    """True on x86 processors with OpenVINO, as measured in docs/performance.md; others were not measured."""
    return platform.machine().lower() in _X86 and importlib.util.find_spec("openvino") is not None

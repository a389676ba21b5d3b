"""Which of the execution providers that are asked for ONNX Runtime can use here."""

from __future__ import annotations

import difflib

import onnxruntime as ort

from facet.runtime.models import UnsupportedModel

CPU_PROVIDER = "CPUExecutionProvider"
_SUFFIX = "ExecutionProvider"

_PACKAGES = {
    "CUDA": "onnxruntime-gpu",
    "Tensorrt": "onnxruntime-gpu",
    "MIGraphX": "onnxruntime-migraphx",
    "OpenVINO": "onnxruntime-openvino",
    "Dml": "onnxruntime-directml",
    "QNN": "onnxruntime-qnn",
}
"""The distributions of ONNX Runtime that include a provider."""


def usable(providers: tuple[str, ...]) -> tuple[str, ...]:
    """Return the providers that this build of ONNX Runtime includes, in the given order.

    Raises:
        UnsupportedModel: there is no provider of a name, or one is missing and the CPU is not in the list.
    """
    known, available = ort.get_all_providers(), ort.get_available_providers()
    for name in providers:
        if name not in known:
            raise UnsupportedModel(f"there is no execution provider {name!r}{_meant(name, known)}")
    missing = [name for name in providers if name not in available]
    if missing and CPU_PROVIDER not in providers:
        raise UnsupportedModel(f"{_lacking(missing)}, or add {CPU_PROVIDER} to models.providers")
    return tuple(name for name in providers if name in available)


def why_idle(wanted: tuple[str, ...]) -> str:
    """One line for a preferred provider that runs no model: what is missing, or cannot start."""
    missing = [name for name in wanted if name not in ort.get_available_providers()]
    return _lacking(missing) if missing else cannot_start([wanted[0]])


def cannot_start(providers: list[str]) -> str:
    """One line: which providers cannot start, and what to check."""
    return f"{', '.join(providers)} cannot start here: check the driver and the libraries"


def _lacking(missing: list[str]) -> str:
    """One line: which providers are missing, which there are, and what to install."""
    available = ort.get_available_providers()
    packages = sorted({_PACKAGES[short(name)] for name in missing if short(name) in _PACKAGES})
    install = " or ".join(packages) if packages else "a build of ONNX Runtime that includes it"
    instead = " in place of onnxruntime" if packages else ""
    found = f"this build of ONNX Runtime has no {', '.join(missing)}, only {', '.join(available)}"
    return f"{found}: install {install}{instead}"


def short(name: str) -> str:
    """A provider's name without its ending: "CUDA"."""
    return name.removesuffix(_SUFFIX)


def _meant(name: str, known: list[str]) -> str:
    by_short = {short(each).lower(): each for each in known}
    wanted = short(name).lower().removesuffix(_SUFFIX.lower())
    found = difflib.get_close_matches(wanted, by_short, n=1)
    names = by_short[found[0]] if found else ", ".join(ort.get_available_providers())
    return f": did you mean {names}?" if found else f"; this build of ONNX Runtime has {names}"

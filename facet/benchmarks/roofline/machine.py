"""What this machine can compute at best: matrix products and copies of memory on all cores."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.timing import median_ms, per_second

FP32, BF16 = "fp32", "bf16"

_MATRIX_SIZE = 2048
_COPIED_BYTES = 2**26


@dataclass(frozen=True, slots=True)
class Roofline:
    """The limits of the machine with all its cores (Williams et al., "Roofline", 2009).

    Attributes:
        numpy_fp32: GFLOP/s of a product of 2048x2048 matrices in NumPy.
        openvino_fp32: the same in OpenVINO; ``None`` if it is not installed.
        openvino_bf16: the same in bf16; ``None`` if the processor has no bf16 arithmetic.
        copy_gb_per_s: gigabytes per second read and written while copying large arrays.
    """

    numpy_fp32: float
    openvino_fp32: float | None
    openvino_bf16: float | None
    copy_gb_per_s: float

    def higher(self, other: Roofline) -> Roofline:
        """The higher value of each figure: a shared machine is sometimes slower than it can be, never faster."""
        return Roofline(
            max(self.numpy_fp32, other.numpy_fp32),
            max((self.openvino_fp32, other.openvino_fp32), key=lambda each: each or 0.0),
            max((self.openvino_bf16, other.openvino_bf16), key=lambda each: each or 0.0),
            max(self.copy_gb_per_s, other.copy_gb_per_s),
        )

    def gflop_per_s(self, precision: str) -> float:
        """The highest arithmetic rate of a precision, ``fp32`` or ``bf16``."""
        if precision == BF16 and self.openvino_bf16:
            return self.openvino_bf16
        return max(self.numpy_fp32, self.openvino_fp32 or 0.0)


def measure(seconds: float, cores: int) -> Roofline:
    """Measure each figure for a number of seconds."""
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((_MATRIX_SIZE, _MATRIX_SIZE)).astype(np.float32) for _ in range(2))
    out = np.empty_like(left)
    gflop = 2 * _MATRIX_SIZE**3 / 1e9
    numpy_ms = median_ms(partial(np.matmul, left, right, out=out), seconds)
    products: dict[str, float | None] = {FP32: None, BF16: None}
    if importlib.util.find_spec("openvino") is not None:
        from facet.runtime.inference.openvino_session import computes_bf16

        for precision in (FP32, BF16) if computes_bf16() else (FP32,):
            product = partial(_openvino_product(right, precision, cores), left)
            products[precision] = round(gflop / median_ms(product, seconds) * 1e3, 1)
    return Roofline(round(gflop / numpy_ms * 1e3, 1), products[FP32], products[BF16], _copy_gb_per_s(seconds, cores))


def _openvino_product(right: NDArray[np.float32], precision: str, cores: int) -> Callable[[NDArray[np.float32]], Any]:
    """A compiled graph that multiplies its input by a constant matrix."""
    import openvino as ov
    from openvino import opset13 as ops

    left = ops.parameter(list(right.shape), np.float32)
    model = ov.Model([ops.matmul(left, ops.constant(right), False, False)], [left])
    hint = "bf16" if precision == BF16 else "f32"
    options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": cores, "NUM_STREAMS": 1}
    request = ov.Core().compile_model(model, "CPU", options).create_infer_request()
    return lambda blob: request.infer([blob], share_inputs=True, share_outputs=True)


def _copy_gb_per_s(seconds: float, cores: int) -> float:
    """Gigabytes per second that all cores together read and write, in arrays larger than the caches."""
    copies = [
        partial(np.copyto, np.empty(_COPIED_BYTES, np.uint8), np.ones(_COPIED_BYTES, np.uint8)) for _ in range(cores)
    ]
    return round(2 * _COPIED_BYTES * per_second(copies, seconds) / 1e9, 1)

"""A second recogniser for tests of two models: the packaged one with its embeddings turned, and shortened.

Its file is another one, so its contract differs from that of the packaged model. Its embeddings cannot be compared with
those of the packaged model, also where they have the same dimension. It tells people apart about as well: with
512 values, its similarities are those of the packaged model (in fp32: bf16 differs by 0.002, as everywhere); with 128
values, they differ by 0.08 (standard deviation).

The fixture ``second_model`` in ``tests/conftest.py`` is the file of one with 128 values, made once for a process::

    serve("--models.embedding-next", str(second_model))
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from facet.runtime.models import find_model

DIMENSION = 128
"""Values of the embeddings of the fixture ``second_model``."""
_PACKAGED = "w600k_mbf"
_PACKAGED_DIMENSION = 512


def write_second_model(path: Path, *, dimension: int = DIMENSION, seed: int = 0) -> Path:
    """Write the packaged recogniser with a random orthogonal projection behind it.

    Args:
        path: the file, ``.onnx``.
        dimension: of its embeddings, 1 to 512. With 512, similarities are those of the packaged model.
        seed: of the projection; another one makes a model of another contract.
    """
    values = np.random.default_rng(seed).normal(size=(_PACKAGED_DIMENSION, dimension))
    projection = np.linalg.qr(values)[0].astype(np.float32)
    model = onnx.load(str(find_model(_PACKAGED).path))
    graph = model.graph
    (packaged,) = graph.output
    graph.initializer.append(numpy_helper.from_array(projection, "projection"))
    graph.node.append(helper.make_node("MatMul", [packaged.name, "projection"], ["projected"], name="project"))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("projected", onnx.TensorProto.FLOAT, ("n", dimension)))
    onnx.save(model, str(path))
    return path

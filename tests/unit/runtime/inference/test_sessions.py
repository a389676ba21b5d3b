"""The same model on both inference engines."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from facet.runtime.inference.openvino_session import MAX_SHAPES, OpenVinoSession, computes_bf16
from facet.runtime.inference.providers import CPU_PROVIDER
from facet.runtime.inference.session import Normalization, OnnxSession
from facet.runtime.inference.sessions import open_session
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import UnsupportedModel, find_model

PIXELS = Normalization(127.5, 127.5)


@pytest.fixture(scope="module")
def recognizer() -> Path:
    return find_model("w600k_mbf").path


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)


def test_normalization_gives_planes_of_red_green_and_blue() -> None:
    picture = np.array([[[[255, 51, 0]]]], np.uint8)  # one pixel: blue, green, red
    assert Normalization(127.5, 127.5)(picture).ravel().tolist() == pytest.approx([-1, -0.6, 1])
    assert Normalization(0.0, 255.0)(picture).shape == (1, 3, 1, 1)


def test_both_runtimes_describe_a_model_the_same_way() -> None:
    for name in ("yolo11n", "scrfd_500m_bnkps", "w600k_mbf"):
        path = find_model(name).path
        onnx, openvino = OnnxSession(path), OpenVinoSession(path)
        assert openvino.input == onnx.input
        assert [spec.name for spec in openvino.outputs] == [spec.name for spec in onnx.outputs]
        assert openvino.metadata == onnx.metadata


def test_float32_results_are_the_same_on_both_runtimes(recognizer: Path, crops: NDArray[np.uint8]) -> None:
    onnx = OnnxSession(recognizer).normalizing(PIXELS)
    openvino = OpenVinoSession(recognizer, precision="fp32").normalizing(PIXELS)
    assert openvino.runtime == "openvino fp32"
    (expected,), (found,) = onnx.run(crops), openvino.run(crops)
    assert np.abs(found - expected).max() <= 2e-4 * np.abs(expected).max()


def test_bf16_is_used_if_the_processor_supports_it() -> None:
    runtime = OpenVinoSession(find_model("scrfd_500m_bnkps").path, precision="bf16").runtime
    assert runtime == ("openvino bf16" if computes_bf16() else "openvino fp32")


def test_a_normalizing_session_leaves_the_original_unchanged(recognizer: Path, crops: NDArray[np.uint8]) -> None:
    for session in (OnnxSession(recognizer), OpenVinoSession(recognizer, precision="fp32")):
        before = session.run(crops)[0]
        after = session.normalizing(PIXELS).run(crops)[0]
        assert not np.allclose(before, after)
        assert np.array_equal(session.run(crops)[0], before)


def test_a_session_answers_any_shape_and_keeps_a_bounded_number_of_graphs() -> None:
    session = OpenVinoSession(find_model("scrfd_500m_bnkps").path, precision="fp32")
    shapes = [(32, 32 * columns) for columns in range(1, MAX_SHAPES + 3)]
    for height, width in [*shapes, *shapes[:2]]:
        scores = session.run(np.zeros((1, height, width, 3), np.uint8))[0]
        assert scores.shape == (1, height * width // 64 * 2, 1)
    assert session.compiled_graphs == MAX_SHAPES


def test_sessions_that_share_a_slot_wait_for_each_other(recognizer: Path, crops: NDArray[np.uint8]) -> None:
    slots = InferenceSlots(count=1, threads=1)
    sessions = OnnxSession(recognizer, slots=slots), OpenVinoSession(recognizer, slots=slots, precision="fp32")
    done: list[int] = []
    with slots:
        threads = [
            threading.Thread(target=lambda session=session: done.append(len(session.run(crops))))
            for session in sessions
        ]
        for thread in threads:
            thread.start()
        assert not done
    for thread in threads:
        thread.join()
    assert done == [1, 1]


def test_concurrent_threads_get_their_own_results(recognizer: Path) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (8, 1, 112, 112, 3), np.uint8)
    session = OpenVinoSession(recognizer, slots=InferenceSlots(2, 1), precision="fp32").normalizing(PIXELS)
    expected = [session.run(crop)[0] for crop in crops]
    found: dict[int, NDArray[np.float32]] = {}

    def ask(number: int) -> None:
        found[number] = session.run(crops[number])[0]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(crops))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[number], expected[number]) for number in range(len(crops)))


def test_a_refusal_of_another_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"nothing")
    for runtime in ("openvino", "onnxruntime"):
        with pytest.raises(UnsupportedModel, match=r"model\.onnx"):
            open_session(path, slots=InferenceSlots(1, 1), runtime=runtime)


def test_a_provider_that_is_missing_is_refused_with_those_there_are_and_what_to_install(recognizer: Path) -> None:
    for name, package in (
        ("CUDAExecutionProvider", "onnxruntime-gpu"),
        ("DmlExecutionProvider", "onnxruntime-directml"),
    ):
        for runtime in ("auto", "onnxruntime"):
            with pytest.raises(UnsupportedModel) as caught:
                open_session(recognizer, slots=InferenceSlots(1, 1), runtime=runtime, providers=(name,))
            said = str(caught.value)
            assert f"has no {name}, only {', '.join(ort.get_available_providers())}: install {package}" in said
            assert "\n" not in said


def test_a_missing_provider_is_left_out_if_the_cpu_is_in_the_list(recognizer: Path) -> None:
    wanted = ("CUDAExecutionProvider", CPU_PROVIDER)
    slots = InferenceSlots(1, 1)
    assert (
        open_session(recognizer, slots=slots, runtime="onnxruntime", providers=wanted).runtime == "onnxruntime CPU fp32"
    )
    assert "CUDA" not in open_session(recognizer, slots=slots, providers=wanted).runtime


def test_a_provider_that_does_not_exist_is_refused_with_the_name_that_was_meant(recognizer: Path) -> None:
    for name, meant in (("cuda", "CUDAExecutionProvider"), ("TensorRT", "TensorrtExecutionProvider")):
        with pytest.raises(UnsupportedModel, match=f"{name!r}: did you mean {meant}"):
            open_session(recognizer, slots=InferenceSlots(1, 1), providers=(name, CPU_PROVIDER))


def test_openvino_does_not_run_on_the_providers_of_onnx_runtime(recognizer: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"openvino, which runs on the CPU: set models\.runtime to onnxruntime"):
        open_session(recognizer, slots=InferenceSlots(1, 1), runtime="openvino", providers=("CUDAExecutionProvider",))

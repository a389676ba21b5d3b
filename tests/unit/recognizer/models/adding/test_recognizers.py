"""Recognisers as people get them, added to a folder: they give the same embeddings as before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.runtime.inference.openvino_session import OpenVinoSession
from facet.runtime.inference.session import OnnxSession, Session
from facet.runtime.models import INSIGHTFACE, UNKNOWN, ModelError, find_model, read_manifest, sha256_of
from recognizer.embedding import Embedder
from recognizer.models.adding.add import Told, add_file
from recognizer.models.adding.graphs import taking_aligned_faces
from recognizer.models.adding.preprocessing import InputForm
from recognizer.models.adding.reference_faces import reference_faces
from recognizer.models.loading import load_models
from recognizer.settings import ModelSettings
from tests.unit.recognizer.models.adding.foreign_models import IMAGENET, Foreign, write_half, write_of_several_outputs

FOREIGN = {
    "channels last, BGR, std 128": Foreign(channels_last=True, bgr=True, std=(128.0,) * 3),
    "batch of 4, samples of 0 to 1": Foreign(batch=4, mean=(0.0,) * 3, std=(255.0,) * 3),
    "side 128, ImageNet's scale, pooled": Foreign(side=128, mean=IMAGENET[0], std=IMAGENET[1], pooled=True),
    "all at once": Foreign(
        side=96, channels_last=True, bgr=True, mean=IMAGENET[0], std=IMAGENET[1], batch=4, pooled=True
    ),
}


def told(foreign: Foreign) -> Told:
    return Told("bgr" if foreign.bgr else "rgb", (foreign.mean, foreign.std))


def similarities(session: Session, name: str, folder: Path, expected: NDArray[np.float32]) -> NDArray[np.float32]:
    embedder = Embedder(session, find_model(name, folder))
    vectors = embedder.embed(list(reference_faces()))
    assert vectors.shape == expected.shape
    return np.asarray((vectors * expected).sum(1), np.float32)


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
def test_a_converted_model_gives_the_embeddings_of_its_original(foreign: Foreign, tmp_path: Path) -> None:
    path = foreign.write(tmp_path / "foreign.onnx")
    expected = foreign.embed(path, reference_faces())
    added = add_file(path, tmp_path / "models", told=told(foreign), weights_license="MIT")
    assert (added.role, added.converted, added.batch) == ("embedding", True, None)
    for session in (OnnxSession(added.path), OpenVinoSession(added.path, precision="fp32")):
        assert similarities(session, "foreign", tmp_path / "models", expected).min() > 0.999
    origin = read_manifest(tmp_path / "models")["foreign.onnx"]
    assert origin == added.origin
    assert (origin.sha256, origin.converted_from) == (sha256_of(added.path), sha256_of(path))
    assert origin.license == "MIT"
    assert "foreign.onnx" in origin.source


@pytest.mark.parametrize("foreign", [*FOREIGN.values()][0:3:2], ids=[*FOREIGN][0:3:2])
def test_preprocessing_that_is_not_told_is_found_out(foreign: Foreign, tmp_path: Path) -> None:
    path = foreign.write(tmp_path / "foreign.onnx")
    expected = foreign.embed(path, reference_faces())
    added = add_file(path, tmp_path / "models")
    assert added.choice is not None
    assert added.choice.preprocessing.channels == ("bgr" if foreign.bgr else "rgb")
    assert added.choice.second is not None
    assert added.choice.lead > 0
    assert similarities(OnnxSession(added.path), "foreign", tmp_path / "models", expected).min() > 0.999
    assert added.origin.license == UNKNOWN


@pytest.mark.parametrize("write", [write_half, write_of_several_outputs])
def test_float16_and_further_outputs_are_taken_away(write: Callable[[Path], Path], tmp_path: Path) -> None:
    path = write(tmp_path / "foreign.onnx")
    packaged = find_model("w600k_mbf")
    expected = Embedder(OnnxSession(packaged.path), packaged).embed(list(reference_faces()))
    added = add_file(path, tmp_path / "models", told=Told("rgb", ((127.5,) * 3, (127.5,) * 3)))
    assert added.converted
    assert added.output == (OnnxSession(packaged.path).outputs[0].name if write is write_of_several_outputs else "")
    for session in (OnnxSession(added.path), OpenVinoSession(added.path, precision="fp32")):
        assert similarities(session, "foreign", tmp_path / "models", expected).min() > 0.999
    (output,) = OnnxSession(added.path).outputs
    assert not output.is_half


def test_onnx_runtime_reads_float16_as_openvino_does(tmp_path: Path) -> None:
    path, packaged = write_half(tmp_path / "half.onnx"), find_model("w600k_mbf")
    expected = Embedder(OnnxSession(packaged.path), packaged).embed(list(reference_faces()))
    for session in (OnnxSession(path), OpenVinoSession(path, precision="fp32")):
        assert similarities(session, str(path), tmp_path, expected).min() > 0.999


def test_the_output_that_is_told_is_taken_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    path = write_of_several_outputs(tmp_path / "foreign.onnx")
    scale = ((127.5,) * 3, (127.5,) * 3)
    with pytest.raises(ModelError, match=r"has no output 'vector', it has norm, features, \S+$"):
        add_file(path, tmp_path / "models", told=Told("rgb", scale, output="vector"))
    with pytest.raises(ModelError, match="neither a face detector nor a recogniser"):
        add_file(path, tmp_path / "models", told=Told("rgb", scale, output="norm"))
    assert not (tmp_path / "models").exists()
    assert add_file(path, tmp_path / "models", told=Told("rgb", scale, output="features")).output == "features"


def test_the_same_model_gives_the_same_file(tmp_path: Path) -> None:
    foreign = FOREIGN["all at once"]
    content = foreign.write(tmp_path / "foreign.onnx").read_bytes()
    form, preprocessing = InputForm(4, 96, channels_last=True, flat=False), told(foreign).candidates(published=False)[0]
    first, second = (taking_aligned_faces(content, "foreign", form, preprocessing, batch=None) for _ in range(2))
    assert first == second != content


def test_a_model_of_one_picture_that_can_take_no_more_keeps_one(tmp_path: Path) -> None:
    foreign = Foreign(channels_last=True, batch=1, first_only=True)
    path = foreign.write(tmp_path / "foreign.onnx")
    expected = foreign.embed(path, reference_faces())
    added = add_file(path, tmp_path / "models", told=told(foreign))
    assert added.batch == 1
    for session in (OnnxSession(added.path), OpenVinoSession(added.path, precision="fp32")):
        assert similarities(session, "foreign", tmp_path / "models", expected).min() > 0.999


def test_a_model_of_four_pictures_that_can_take_no_other_number_is_refused(tmp_path: Path) -> None:
    foreign = Foreign(batch=4, own_row=True)
    path = foreign.write(tmp_path / "foreign.onnx")
    with pytest.raises(ModelError, match="takes 4 pictures at a time, and cannot take any other number") as refused:
        add_file(path, tmp_path / "models", told=told(foreign))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "models").exists()


def test_a_model_that_the_server_reads_is_copied_and_keeps_its_digest(tmp_path: Path) -> None:
    packaged = find_model("w600k_mbf")
    added = add_file(packaged.path, tmp_path, name="ours")
    assert not added.converted
    assert (tmp_path / "ours.onnx").read_bytes() == packaged.path.read_bytes()
    assert added.origin.sha256 == packaged.sha256
    assert added.origin.license == INSIGHTFACE
    assert added.origin.converted_from == ""


def test_the_right_axes_with_the_wrong_scale_are_not_copied(tmp_path: Path) -> None:
    foreign = Foreign(mean=IMAGENET[0], std=IMAGENET[1])
    path = foreign.write(tmp_path / "foreign.onnx")
    expected = foreign.embed(path, reference_faces())
    assert similarities(OnnxSession(path), str(path), tmp_path, expected).min() < 0.99, "the server would misread it"
    added = add_file(path, tmp_path / "models", told=told(foreign))
    assert added.converted
    assert similarities(OnnxSession(added.path), "foreign", tmp_path / "models", expected).min() > 0.999


def test_a_model_told_otherwise_replaces_what_was_made_of_the_same_file_and_no_other(tmp_path: Path) -> None:
    foreign = Foreign(channels_last=True, bgr=True)
    path = foreign.write(tmp_path / "foreign.onnx")
    wrong = add_file(path, tmp_path / "models", told=Told("rgb", (foreign.mean, foreign.std)))
    right = add_file(path, tmp_path / "models", told=told(foreign))
    assert wrong.origin.sha256 != right.origin.sha256 == sha256_of(tmp_path / "models" / "foreign.onnx")
    detector = find_model("scrfd_500m_bnkps").path
    with pytest.raises(ModelError, match="is another model: add this file with another --name"):
        add_file(detector, tmp_path / "models", name="foreign")
    with pytest.raises(ModelError, match="w600k_mbf is the name of a packaged model"):
        add_file(detector, tmp_path / "models", name="w600k_mbf")
    assert sha256_of(tmp_path / "models" / "foreign.onnx") == right.origin.sha256
    assert [file.name for file in sorted((tmp_path / "models").iterdir())] == ["foreign.onnx", "models.json"]


@pytest.mark.parametrize("foreign", [Foreign(batch=4), Foreign(channels_last=True)], ids=["batch", "axes"])
def test_a_server_with_the_original_names_the_command_that_converts_it(foreign: Foreign, tmp_path: Path) -> None:
    path = foreign.write(tmp_path / "foreign.onnx")
    for runtime in ("onnxruntime", "openvino"):
        settings = ModelSettings(objects=None, embedding=str(path), runtime=runtime)
        with pytest.raises(ModelError) as refused:
            load_models(settings)
        assert f"facet models add {path}" in str(refused.value)
        assert "\n" not in str(refused.value)


def test_preprocessing_of_a_known_model_is_found_out_as_it_is_told(shared: Path, tmp_path: Path) -> None:
    path = shared / "models" / "mobilefacenet-128.onnx"
    found = add_file(path, tmp_path / "found")
    as_told = add_file(path, tmp_path / "told", told=Told("rgb", IMAGENET))
    assert found.path.read_bytes() == as_told.path.read_bytes()
    assert found.choice is not None
    assert not found.choice.is_near
    assert found.batch is None

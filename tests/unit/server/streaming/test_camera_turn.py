"""A stream finds out which way up its camera is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from facet.server.scheduling.work import Work
from facet.server.streaming.camera_turn import CameraTurn
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.settings import ModelSettings

if TYPE_CHECKING:
    from tests.conftest import Pictures


def test_the_turn_is_found_although_the_clients_clock_goes_back(pictures: Pictures) -> None:
    portrait = np.asarray(cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    upright = np.asarray(cv2.copyMakeBorder(portrait, 200, 200, 300, 300, cv2.BORDER_CONSTANT), np.uint8)
    turned, empty = np.ascontiguousarray(np.rot90(upright, 2)), np.full_like(upright, 128)
    camera = CameraTurn(FacePipeline(load_models(ModelSettings(objects=None))), None)
    assert [camera.of(empty, time, Work()) for time in (1e4, 1e4 + 4)] == [0, 0]
    assert [camera.of(turned, time, Work()) for time in (100.0, 100.1)] == [180, 180]

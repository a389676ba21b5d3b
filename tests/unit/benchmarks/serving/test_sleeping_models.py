"""The models of ``facet bench ceiling``."""

from __future__ import annotations

import numpy as np

from facet.benchmarks.serving.ceiling.sleeping_models import SleepingSession
from facet.runtime.inference.session import Normalization, OnnxSession
from facet.runtime.models import find_model
from recognizer.settings import ModelSettings

SIZE = 128


def test_a_sleeping_model_answers_as_the_model_does() -> None:
    session = OnnxSession(find_model(ModelSettings().faces).path)
    sleeping = SleepingSession(session, 0.0).normalizing(Normalization(127.5, 128.0))
    awake = session.normalizing(Normalization(127.5, 128.0))
    for value in (30, 200, 30):  # the last one is what it has seen
        picture = np.full((1, SIZE, SIZE, 3), value, np.uint8)
        for expected, found in zip(awake.run(picture), sleeping.run(picture), strict=True):
            np.testing.assert_array_equal(expected, found)

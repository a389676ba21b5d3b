"""The cores of a process, divided among inferences."""

from __future__ import annotations

import pytest

from facet.runtime.inference.slots import InferenceSlots


@pytest.mark.parametrize(("preset", "slots"), [("latency", InferenceSlots(1, 4)), ("throughput", InferenceSlots(4, 1))])
def test_a_preset_divides_the_cores(preset: str, slots: InferenceSlots) -> None:
    assert InferenceSlots.of("latency" if preset == "latency" else "throughput", 4) == slots

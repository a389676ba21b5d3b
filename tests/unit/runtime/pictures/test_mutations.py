"""Pictures of every kind with any bytes changed: decoded or refused, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facet.runtime.decoders.limits import memory_bytes
from facet.runtime.pictures import PictureError, decode
from facet.runtime.pictures.decoding import walk
from tests.unit.runtime.pictures.samples import ENOUGH, encode

_OTHER = Image.new("RGB", (64, 48), "red")
_ALPHA = Image.new("RGBA", (64, 48), (10, 20, 30, 40))
SAMPLES = [
    encode("JPEG"),
    encode("JPEG", progressive=True),
    encode("JPEG", Image.new("CMYK", (64, 48))),
    encode("MPO", save_all=True, append_images=[_OTHER]),
    encode("PNG"),
    encode("PNG", _OTHER.quantize(4)),
    encode("PNG", save_all=True, append_images=[_OTHER], default_image=True),
    encode("WEBP"),
    encode("WEBP", _ALPHA, lossless=True),
    encode("WEBP", save_all=True, append_images=[_OTHER]),
    encode("BMP"),
    encode("BMP", _OTHER.quantize(4)),
    encode("GIF", save_all=True, append_images=[_OTHER]),
    encode("TIFF"),
    encode("TIFF", compression="tiff_lzw", save_all=True, append_images=[Image.new("RGB", (64, 48))]),
    encode("TIFF", compression="tiff_adobe_deflate", big_tiff=True),
    encode("TIFF", compression="jpeg"),
    encode("HEIF"),
    encode("AVIF"),
]
BYTES = st.one_of(
    st.binary(max_size=40), st.sampled_from([bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xda", b"\xff\xd9"])
)


@given(
    sample=st.sampled_from(SAMPLES),
    changes=st.lists(st.tuples(st.integers(0, 1500), BYTES, st.booleans()), max_size=4),
    cut=st.integers(0, 1500),
)
def test_any_picture_is_decoded_or_refused(sample: bytes, changes: list[tuple[int, bytes, bool]], cut: int) -> None:
    data = sample[: len(sample) - cut] if cut % 3 == 0 else sample
    for position, replacement, inserted in changes:
        data = data[:position] + replacement + data[position if inserted else position + len(replacement) :]
    try:
        layout = walk(data, max_pixels=ENOUGH)
        assert layout.header.width * layout.header.height <= ENOUGH
        written = 1024 if layout.header.format in ("HEIF", "AVIF", "TIFF") else 64  # a container that is written anew
        assert sum(map(len, layout.parts)) <= len(data) + written
        picture = decode(data, max_pixels=ENOUGH)
    except PictureError:
        return
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3


PROGRAM = """
import random, resource, sys
from facet.runtime.pictures import PictureError, decode
from tests.unit.runtime.pictures.test_mutations import ENOUGH, SAMPLES
chance = random.Random(7)
base = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
resource.setrlimit(resource.RLIMIT_AS, (base + int(sys.argv[1]),) * 2)
for number in range(600):
    data = bytearray(chance.choice(SAMPLES))
    for _ in range(chance.randrange(1, 8)):
        data[chance.randrange(len(data) if chance.random() < 0.5 else min(len(data), 60))] = chance.randrange(256)
    try:
        decode(bytes(data), max_pixels=ENOUGH)
    except PictureError:
        pass
"""


def test_changed_pictures_stay_within_the_limits_of_memory_and_processor_time() -> None:
    """The kernel ends a process that exceeds its processor time, and refuses memory over the limit."""

    command = [sys.executable, "-c", PROGRAM, str(memory_bytes(ENOUGH, 0))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

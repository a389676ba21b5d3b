"""Folders of people, made from the pictures that come with the packaged models."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from facet.runtime.inference.session import OnnxSession
from facet.runtime.models import find_model
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.models.adding.reference_faces import reference_pictures


def write_people(folder: Path, *, most: int) -> Path:
    """Write a folder for each of some people, with three pictures: as it is, mirrored, and dark.

    Args:
        folder: it is made.
        most: number of people in each of two pictures, which show 22 and 5.
    """
    detector = ScrfdDetector(OnnxSession(find_model("scrfd_500m_bnkps").path))
    for number, picture in enumerate(reference_pictures()):
        for place, box in enumerate(detector.detect(picture, (640, 640)).boxes[:most].tolist()):
            person = folder / f"person {number}{place:02}"
            person.mkdir(parents=True)
            margin = (box[3] - box[1]) / 2
            left, top = (max(0, int(corner - margin)) for corner in box[:2])
            right, bottom = (int(corner + margin) for corner in box[2:])
            crop = cv2.resize(picture[top:bottom, left:right], (256, 256), interpolation=cv2.INTER_CUBIC)
            for name, each in (("as it is", crop), ("mirrored", crop[:, ::-1]), ("dark", crop // 4 * 3)):
                cv2.imwrite(str(person / f"{name}.png"), np.ascontiguousarray(each))
    return folder

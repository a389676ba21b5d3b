"""Which resolution a picture is decoded at: little to look at it, more where small faces need it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detector.yolo import Detections
from facet.runtime.pictures import DecodedPicture, Placement
from facet.runtime.resampling import halved, power_of_two
from recognizer.alignment import similarity_transform
from recognizer.faces import Faces

PIXELS_PER_CROP_PIXEL = 1.0
"""Decoded pixels that a pixel of a crop needs, per side. With fewer, the crop would lose detail."""


def reduced(picture: DecodedPicture, longer_side: int) -> DecodedPicture:
    """Halve a picture as often as its longer side stays long enough, by means of its pixels.

    A JPEG that is decoded at this size looks nearly the same: pixels that reach over an edge are left out of both.
    """
    picture = _within_edges(picture)
    height, width = picture.pixels.shape[:2]
    scale = power_of_two(max(height, width) / longer_side)
    whole = picture.pixels[: height - height % scale, : width - width % scale]
    if scale == 1 or not whole.size:
        return picture
    return DecodedPicture(halved(whole, scale), replace(picture.placement, scale=picture.placement.scale * scale))


def _within_edges(picture: DecodedPicture) -> DecodedPicture:
    """Leave out the decoded row and column that reach over an edge of the full picture; one at least stays."""
    place, (height, width) = picture.placement, picture.pixels.shape[:2]
    rows, columns = place.height // place.scale, place.width // place.scale
    if (rows, columns) == (height, width) or not (rows and columns):
        return picture
    top, left = height - rows if place.top < 0 else 0, width - columns if place.left < 0 else 0
    pixels = picture.pixels[top : top + rows, left : left + columns]
    return DecodedPicture(
        pixels, replace(place, left=place.left + place.scale * left, top=place.top + place.scale * top)
    )


def needed_share(faces: Faces) -> NDArray[np.float64]:
    """For each face the share of the full resolution that its crop needs, per side; float64 ``(n,)``, above 0.

    Args:
        faces: in the coordinates of the full picture.
    """
    shares = [PIXELS_PER_CROP_PIXEL * math.hypot(*similarity_transform(each)[0, :2]) for each in faces.landmarks]
    return np.array(shares, np.float64)


def faces_in_full(faces: Faces, place: Placement) -> Faces:
    """Convert faces from the coordinates of decoded pixels to those of the full picture."""
    return faces.scaled(place.scale, place.scale).translated(place.left, place.top)


def landmarks_in_decoded(landmarks: NDArray[np.float32], place: Placement) -> NDArray[np.float32]:
    """Convert landmarks ``(5, 2)`` from the coordinates of the full picture to those of decoded pixels."""
    origin = np.array((place.left, place.top), np.float32)
    return np.asarray((landmarks + 0.5 - origin) / place.scale - 0.5, np.float32)


def faces_in_decoded(faces: Faces, place: Placement) -> Faces:
    """Convert faces from the coordinates of the full picture to those of decoded pixels."""
    boxes = (faces.boxes - np.tile(np.array((place.left, place.top), np.float32), 2)) / np.float32(place.scale)
    return Faces(boxes, landmarks_in_decoded(faces.landmarks, place), faces.scores)


def objects_in_full(objects: Detections, place: Placement) -> Detections:
    """Convert objects from the coordinates of decoded pixels to those of the full picture."""
    origin, size = np.array((place.left, place.top), np.float32), np.array((place.width, place.height), np.float32)
    boxes = objects.boxes * np.float32(place.scale) + np.tile(origin, 2)
    keypoints = None if objects.keypoints is None else objects.keypoints * np.float32(place.scale) + origin
    return replace(objects, boxes=np.clip(boxes, 0, np.tile(size, 2)), keypoints=keypoints)

"""Fonts for any script: those that are installed with Facet, then those of the system."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import unicodedata
from functools import cache, lru_cache
from pathlib import Path

from fontTools.ttLib import TTFont
from PIL import ImageFont

_PACKAGES = ("manimgx_fonts", "manimgx_fonts_cjk")
"""Distributions of the Noto fonts (SIL Open Font License 1.1); the second is the extra ``cjk``."""
_FIRST = "NotoSans[wght].ttf"
_REGULAR = 400
"""The weight of text, on the axis of a variable font."""
_EMOJI_STYLE = "\ufe0f"
_JOINING = frozenset({"Mn", "Me", "Mc", "Cf"})
"""Categories of what belongs to the character before it."""


@lru_cache(64)
def font(path: Path | None, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font of regular weight at a size in pixels; ``None`` for the one in Pillow."""
    if path is None:
        return ImageFont.load_default(size)
    found = ImageFont.truetype(str(path), size)
    if "[" in path.name or "-VF" in path.name:
        axes = found.get_variation_axes()
        found.set_variation_by_axes(
            [min(max(_REGULAR, axis["minimum"] or 0), axis["maximum"] or _REGULAR) for axis in axes]
        )
    return found


@lru_cache(1024)
def runs(text: str) -> tuple[tuple[Path | None, str], ...]:
    """Split a text into parts with one font each, in reading order; ``None`` if no font has a part's characters.

    One font is used for all of it if there is one. A mark or a joiner stays with the character before it.
    """
    if (whole := _covering(text)) is not None:
        return ((whole, text),)
    found: list[tuple[Path | None, str]] = []
    for cluster in _clusters(text):
        last = found[-1][0] if found else None
        path = last if last is not None and _has(last, cluster) else _covering(cluster)
        if found and path == last:
            found[-1] = path, found[-1][1] + cluster
        else:
            found.append((path, cluster))
    return tuple(found)


def _covering(text: str) -> Path | None:
    """The first font that has all characters of a text."""
    return next((path for path in _installed() if _has(path, text)), None) or _of_system(text)


def _has(path: Path, text: str) -> bool:
    return all(ord(each) in _characters(path) for each in text if not _is_shapeless(each))


def _is_shapeless(character: str) -> bool:
    return character == _EMOJI_STYLE or unicodedata.category(character) == "Cf"


def _clusters(text: str) -> list[str]:
    """Split a text between characters that are drawn by themselves."""
    clusters: list[str] = []
    for each in text:
        joins = unicodedata.category(each) in _JOINING or (clusters and clusters[-1].endswith("\u200d"))
        if clusters and joins:
            clusters[-1] += each
        else:
            clusters.append(each)
    return clusters


@cache
def _installed() -> tuple[Path, ...]:
    """The font files of the packages that are installed, the one of Latin, Greek and Cyrillic first."""
    found: list[Path] = []
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            found += sorted(path for path in Path(folder).iterdir() if path.suffix in (".ttf", ".ttc", ".otf"))
    return tuple(sorted((path for path in found if "Italic" not in path.name), key=lambda path: path.name != _FIRST))


@cache
def _characters(path: Path) -> frozenset[int]:
    """The code points for which a font has a glyph."""
    with TTFont(path, fontNumber=0, lazy=True) as opened:
        return frozenset(opened.getBestCmap() or ())


@lru_cache(1024)
def _of_system(text: str) -> Path | None:
    """A scalable font of the system that has all characters of a text, by fontconfig; ``None`` without it."""
    program = shutil.which("fc-list")
    if program is None:
        return None
    wanted = " ".join(sorted({f"{ord(each):x}" for each in text if not _is_shapeless(each)}))
    pattern = f":charset={wanted}:scalable=true:color=false"
    try:
        listed = subprocess.run([program, pattern, "file"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    paths = sorted(line.strip().removesuffix(":") for line in listed.stdout.splitlines() if line.strip())
    regular = [path for path in paths if not any(word in path for word in ("Bold", "Italic", "Oblique", "Mono"))]
    return Path((regular or paths)[0]) if paths else None

"""Disturbed copies of images and texts.

The decision hidden here: what each disturbance does at each strength. What is done to an
item depends on its disturbance, the seed and a key of the item alone; a greater strength
does the same and more (the same noise scaled, the same letters and others), so that the
copies of one item differ by the strength only.

Images are disturbed at the size at which the network reads them: strengths in shares of
the side then mean the same for all of them.
"""

from __future__ import annotations

import io
import string
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from osscar_core.datasets.mix import Change

if TYPE_CHECKING:
    from numpy.typing import NDArray

DARKEST = 0.2
BLUR_SIDE = 0.04
NOISE = 0.25
DEGREES = 30.0
JPEG_BEST, JPEG_WORST = 95, 5
TYPOS = 0.1
SHORTEST = 0.1

_NEIGHBOURS = {
    letter: row[max(0, i - 1) : i] + row[i + 1 : i + 2]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for i, letter in enumerate(row)
}


def disturb_image(image: Image.Image, change: Change, key: int, seed: int = 0) -> Image.Image:
    """Return a disturbed copy of an image.

    Args:
        image: RGB.
        change: What is done to it, and how strongly.
        key: Which item it is: what chance decides differs between items.
        seed: Another seed decides otherwise for all of them.
    """
    if change.strength == 0:
        return image
    return _IMAGES[change.name](image, change.strength, _rng(change, key, seed))


def disturb_text(text: str, change: Change, key: int, seed: int = 0) -> str:
    """Return a disturbed copy of a text; see `disturb_image`."""
    if change.strength == 0 or not text:
        return text
    return _TEXTS[change.name](text, change.strength, _rng(change, key, seed))


def _rng(change: Change, key: int, seed: int) -> np.random.Generator:
    words = (seed, *change.name.encode(), key)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def _dark(image: Image.Image, strength: float, _rng: np.random.Generator) -> Image.Image:
    return _from_floats(_floats(image) * (1 - (1 - DARKEST) * strength))


def _blur(image: Image.Image, strength: float, _rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(strength * BLUR_SIDE * min(image.size)))


def _noise(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    pixels = _floats(image)
    return _from_floats(pixels + strength * NOISE * 255 * rng.standard_normal(pixels.shape))


def _rotation(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    side = 1 if rng.random() < 0.5 else -1
    # The border is repeated, so that no black corners give the rotation away.
    margin = max(image.size) // 2
    padded = np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    turned = Image.fromarray(padded).rotate(side * strength * DEGREES, Image.Resampling.BILINEAR)
    return turned.crop((margin, margin, margin + image.width, margin + image.height))


def _compression(image: Image.Image, strength: float, _rng: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    quality = round(JPEG_BEST - (JPEG_BEST - JPEG_WORST) * strength)
    image.save(buffer, format="JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _typos(text: str, strength: float, rng: np.random.Generator) -> str:
    # All draws are made whatever the strength, so that weaker typos are among stronger ones.
    hit = rng.random(len(text)) < strength * TYPOS
    kinds = rng.integers(0, 4, len(text))
    picks = rng.random(len(text))
    out: list[str] = []
    swapped = False
    for i, letter in enumerate(text):
        if swapped:
            swapped = False
            continue
        if not (hit[i] and letter.isalpha()):
            out.append(letter)
            continue
        following = text[i + 1 : i + 2]
        swapped = bool(kinds[i] == 0 and following.isalpha())
        out.append(_mistyped(letter, following, int(kinds[i]), float(picks[i])))
    return "".join(out)


def _mistyped(letter: str, following: str, kind: int, pick: float) -> str:
    if kind == 0 and following.isalpha():
        return following + letter
    if kind == 1:
        return letter * 2
    if kind == 2:
        near = _NEIGHBOURS.get(letter.lower(), string.ascii_lowercase)
        other = near[int(pick * len(near))]
        return other.upper() if letter.isupper() else other
    return ""


def _truncation(text: str, strength: float, _rng: np.random.Generator) -> str:
    return text[: max(1, round(len(text) * (1 - (1 - SHORTEST) * strength)))]


def _case(text: str, strength: float, rng: np.random.Generator) -> str:
    words = text.split(" ")
    chosen = rng.random(len(words)) < strength
    return " ".join(w.upper() if up else w for w, up in zip(words, chosen, strict=True))


def _floats(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image, dtype=np.float64)


def _from_floats(pixels: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


_IMAGES: dict[str, Callable[[Image.Image, float, np.random.Generator], Image.Image]] = {
    "dark": _dark,
    "blur": _blur,
    "noise": _noise,
    "rotation": _rotation,
    "compression": _compression,
}
_TEXTS: dict[str, Callable[[str, float, np.random.Generator], str]] = {
    "typos": _typos,
    "truncation": _truncation,
    "case": _case,
}

"""Whether bytes are a picture that can be decoded.

The decision hidden here: which formats are read. The content says what a file is; its
name says nothing.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

from osscar_core.datasets.own.limits import Limits

_ENDINGS = {
    "PNG": "png",
    "JPEG": "jpg",
    "MPO": "jpg",  # a JPEG as some cameras write it
    "WEBP": "webp",
    "BMP": "bmp",
    "TIFF": "tif",
    "GIF": "gif",
}
ENDINGS = frozenset(_ENDINGS.values())
_FORMATS = tuple(name for name in _ENDINGS if name != "MPO")  # the reader of JPEG opens both
_REDUCED = (256, 256)  # a JPEG is decoded in part only: enough to see that it is whole


class PictureError(ValueError):
    """Bytes that are no usable picture; the message says why."""


def picture_ending(data: bytes, limits: Limits) -> str:
    """Return the customary ending of a picture's format, once it was decoded.

    Args:
        data: The encoded picture.
        limits: How many pixels are too many.

    Raises:
        PictureError: It is none, is damaged or is too large.
    """
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise PictureError("empty")
    # What Pillow's decoders raise on damaged or hostile files.
    errors = (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        LookupError,
        TypeError,
        ArithmeticError,
        AttributeError,
        NotImplementedError,
        MemoryError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    )
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            ending = _ENDINGS.get(image.format or "")
            count = image.width * image.height
            if ending is not None and count <= limits.pixels:
                image.draft("RGB", _REDUCED)
                image.load()
    except UnidentifiedImageError:
        raise PictureError("not a PNG, JPEG, WebP, BMP, TIFF or GIF picture") from None
    except Image.DecompressionBombError:
        raise PictureError(f"more than {limits.pixels:,} pixels") from None
    except errors:
        raise PictureError("a damaged picture") from None
    if ending is None:
        raise PictureError("not a PNG, JPEG, WebP, BMP, TIFF or GIF picture")
    if count > limits.pixels:
        raise PictureError(f"{count:,} pixels, more than {limits.pixels:,}")
    return ending

"""Pictures that customers upload: looked at with suspicion, and made anew from their points."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from derpman.finance.errors import ReceiptRefusedForm
from derpman.kit.lazy import Lazy

if TYPE_CHECKING:
    import PIL
    from PIL import Image, ImageOps
else:
    PIL, Image, ImageOps = Lazy("PIL"), Lazy("PIL.Image"), Lazy("PIL.ImageOps")

MAX_UPLOAD_BYTES = 8 * 1024 * 1024
FORMATS = ("PNG", "JPEG", "WEBP")
LEAST_SIDE, MOST_SIDE, MOST_POINTS = 120, 12_000, 40_000_000
KEPT_SIDE = 2000
QUALITY = 85
MEDIA_TYPE = "image/jpeg"


@dataclass(frozen=True)
class Picture:
    """A JPEG that we made ourselves: nothing of what was uploaded is in it but its points."""

    data: bytes
    digest: str
    """Equal for equal pictures, whatever file they came in."""


def picture_of(upload: bytes) -> Picture:
    """Return an uploaded picture as we keep it; ReceiptRefusedForm when it is none."""
    if len(upload) > MAX_UPLOAD_BYTES:
        raise ReceiptRefusedForm(why=f"it is larger than {MAX_UPLOAD_BYTES} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _read(upload)
    except ReceiptRefusedForm:
        raise
    except (
        PIL.UnidentifiedImageError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ):
        raise ReceiptRefusedForm(why="it is no PNG, JPEG or WebP picture") from None
    except (OSError, ValueError, SyntaxError, ArithmeticError, LookupError, MemoryError):
        # What decoders raise on files that are cut short or made to break them.
        raise ReceiptRefusedForm(why="it is damaged") from None


def _read(upload: bytes) -> Picture:
    with Image.open(io.BytesIO(upload), formats=FORMATS) as image:
        width, height = image.size
        if min(width, height) < LEAST_SIDE:
            raise ReceiptRefusedForm(why=f"it is smaller than {LEAST_SIDE} points")
        if max(width, height) > MOST_SIDE or width * height > MOST_POINTS:
            raise ReceiptRefusedForm(why=f"it has more than {MOST_POINTS} points")
        image.draft("RGB", (KEPT_SIDE, KEPT_SIDE))  # a large JPEG is read in a smaller size
        image.load()
        upright = ImageOps.exif_transpose(image)
        plain = Image.new("RGB", upright.size, "white")
        seen = upright.convert("RGBA")
        plain.paste(seen, mask=seen.getchannel("A"))
    plain.thumbnail((KEPT_SIDE, KEPT_SIDE))
    out = io.BytesIO()
    plain.save(out, "JPEG", quality=QUALITY, optimize=True)
    return Picture(out.getvalue(), hashlib.sha256(plain.tobytes()).hexdigest())

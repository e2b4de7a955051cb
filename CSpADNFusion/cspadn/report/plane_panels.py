"""Panels of a page: the slices of one plane, as pictures that a slider moves."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cspadn.report.planes import Plane

PANELS = {"pet": "PET (inverted grey)", "mri": "MRI", "blend": "Blend", "fused": "Fused, grey", "color": "Fused, colour"}
_OUTLINED = ("mri", "blend", "fused")  # with the border of the field of view
_BORDER_COLOR, _TISSUE_COLOR = (25, 195, 214), (230, 70, 0)
_QUALITY, _EFFORT = 80, 2  # of WebP: half the bytes of JPEG for such pictures, in 0.4 s for all of a page


def plane_panels(plane: Plane, palette: str, shown: Sequence[str] = tuple(PANELS)) -> dict[str, Any]:
    """Return what the template shows of a plane.

    Args:
        palette: one of :data:`cspadn.palettes.PALETTES`.
        shown: keys of :data:`PANELS`.
    """
    from cspadn.report.planes import pictures_of

    cut, (count, rows, columns) = plane.cut, plane.fused.shape
    pictures = pictures_of(plane, palette)
    return {
        "name": cut.name,
        "cut": cut,
        "labels": [_place(position, cut.minus, cut.plus, index, count) for index, position in enumerate(plane.positions)],
        "middle": count // 2,
        "rows": rows,
        "columns": columns,
        "direction": f"from {_SIDES[cut.minus]} to {_SIDES[cut.plus]}",
        "told": _told(plane),
        "outline": _outline(plane.border, _BORDER_COLOR) if plane.border.any() else None,
        "tissues": _outline(plane.tissues, _TISSUE_COLOR),
        "before": webp_strip(pictures["before"]) if "before" in pictures else None,
        "panels": [
            {"key": key, "name": PANELS[key], "source": webp_strip(pictures[key]), "outlined": key in _OUTLINED}
            for key in shown
        ],
    }


_SIDES = {"I": "feet", "S": "head", "R": "right", "L": "left", "A": "front", "P": "back"}


def _place(position: float, minus: str, plus: str, index: int, count: int) -> str:
    side = plus if position > 0 else minus
    where = f"{abs(position):.1f} mm"
    if where != "0.0 mm":
        where += f" {side} ({_SIDES[side]})"
    return f"{where}, slice {index + 1} of {count}"


def _told(plane: Plane) -> str:
    """Which of the slices there are are shown."""
    if plane.every is None:
        return f"One slice every {plane.step:.3g} mm."
    if plane.every == 1:
        return f"Every slice of the fused volume, {plane.step:.3g} mm apart."
    ending = {1: "st", 2: "nd", 3: "rd"}.get(plane.every % 10 if plane.every % 100 not in (11, 12, 13) else 0, "th")
    return f"Every {plane.every}{ending} slice of the fused volume, {plane.step:.3g} mm apart."


def webp_strip(picture: NDArray[np.uint8]) -> str:
    """Return all slices below each other, as a WebP in a URL: (slices, rows, columns), grey, or RGB in (..., 3)."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture.reshape(-1, *picture.shape[2:])).save(file, "WEBP", quality=_QUALITY, method=_EFFORT)
    return _url("image/webp", file.getvalue())


def _outline(border: NDArray[np.bool_], color: tuple[int, int, int]) -> str:
    """Return the same as a PNG that is transparent but for the border."""
    import numpy as np
    from PIL import Image

    image = Image.fromarray(border.reshape(-1, border.shape[2]).view(np.uint8))
    image.putpalette([0, 0, 0, *color])
    file = io.BytesIO()
    image.save(file, "PNG", transparency=0)
    return _url("image/png", file.getvalue())


def _url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

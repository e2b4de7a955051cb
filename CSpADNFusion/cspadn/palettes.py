"""The list of PET palettes. Each palette is one record; settings, panel, command line and colours derive from it.

The records are plain data, so that reading the names of the palettes loads nothing heavy. :mod:`cspadn.imaging.color` computes
the colours.
"""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float, float, float]  # level from 0 to 255; red, green and blue from 0 to 1


@dataclass(frozen=True)
class ChromaCurve:
    """A chroma in OKLab that depends on the PET level.

    Attributes:
        knee: PET level in [0, 1] at which the chroma reaches ``middle``; it rises from 0 at level 0.
        middle: chroma from the knee to level 0.4.
        end: chroma at level 1, reached smoothly from level 0.4.
    """

    knee: float
    middle: float
    end: float


@dataclass(frozen=True)
class HueScale:
    """Colours whose lightness rises evenly with the PET level while the hue turns, in OKLab.

    Attributes:
        hues: hue angles at level 0 and at level 1, in degrees.
        power: exponent of the PET level along the hues.
        lightness: lightness at level 1.
        chroma: chroma of the palette.
        table_chroma: chroma that the colour table aims at.
    """

    hues: tuple[float, float]
    power: float
    lightness: float
    chroma: ChromaCurve
    table_chroma: ChromaCurve


@dataclass(frozen=True)
class TableDesign:
    """Parameters of the colour table of a palette; see :func:`cspadn.imaging.color.color_table`.

    Attributes:
        black: grey level in [0, 1] of the highest PET level at brightness 0; lower levels have less.
        white: grey level of uptake at brightness 1; it is below 1, so that bright colours can be displayed.
        share: share of the fused value in the brightness; the MRI has the rest.
        onset: PET level from which ``white`` holds; at level 0 the table is the grey of the brightness, up to white.
        early: how much steeper the grey level at brightness 0 begins: low uptake in dark places has little chroma.
        detail: gain of the fine detail of the MRI that the brightness adds; 0 adds nothing.
        chroma: factor on the chroma of the palette.
        levels: palette levels, 0 to 255, of the uptakes 0, 0.1, ..., 1. Neighbouring colours are about equally far apart in
            CIEDE2000; in a palette that ends in white, the last one still has chroma. A :class:`HueScale` needs none.
        smoothing: standard deviation, in levels, of the Gaussian that rounds the corners of the palette.
        hot: by how much the highest PET level exceeds ``white`` at brightness 1: yellow can be displayed brighter than red.
    """

    black: float
    white: float
    share: float
    chroma: float = 1.0
    levels: tuple[float, ...] = ()
    smoothing: float = 9.0
    hot: float = 0.0
    onset: float = 0.3
    early: float = 0.5
    detail: float = 0.0


@dataclass(frozen=True)
class Palette:
    """A palette of the PET.

    Attributes:
        name: name on the command line and in the panel; for a palette of Slicer, its name in MRML.
        colors: control points, between which sRGB is interpolated linearly, or a hue scale.
        table: parameters of its colour table.
        in_slicer: whether Slicer has the palette. Otherwise the module creates a colour table node for it.
    """

    name: str
    colors: tuple[Point, ...] | HueScale
    table: TableDesign
    in_slicer: bool = True


REGISTRY = (  # in the order of menus; the first is the default
    Palette(
        "Heated",  # black, red, orange, yellow; the end keeps its hue
        HueScale(
            hues=(5.7, 99.0),
            power=1.12,
            lightness=0.87,
            chroma=ChromaCurve(0.42, 0.128, 0.102),
            table_chroma=ChromaCurve(0.32, 0.263, 0.137),
        ),
        TableDesign(0.408, 0.716, 0.15, hot=0.12, onset=0.428, early=0.109, detail=0.8),
        in_slicer=False,
    ),
    Palette(
        "PET-Heat",
        (
            *((0, 0, 0, 0), (35, 0.36, 0, 0), (38, 0.5, 0, 0), (50, 0.7, 0.1, 0)),
            *((70, 0.7, 0.5, 0), (87, 1, 1, 0), (255, 1, 1, 1)),
        ),
        TableDesign(0.28, 0.84, 0.26, 1.1, (0, 3, 6, 13, 28, 55, 61, 66, 71, 72, 165), 9, hot=0.08, detail=0.6),
    ),
    Palette(
        "PET-Rainbow",
        (
            *((0, 0, 0, 0), (35, 0, 0, 0.3), (38, 0.2, 0, 0.3), (50, 0.5, 0, 0)),
            *((70, 0.7, 0.5, 0), (87, 1, 1, 0), (255, 1, 1, 1)),
        ),
        TableDesign(0.28, 0.86, 0.2, 1.1, (0, 4, 25, 36, 41, 46, 51, 58, 65, 67, 170), 10, hot=0.04, detail=0.6),
    ),
    Palette(
        "PET-Rainbow2",
        (
            *((0, 0, 0, 0), (32, 0.25098, 0, 0.501961), (64, 0, 0, 1), (96, 0, 1, 0)),
            *((160, 1, 1, 0), (192, 1, 0.752941, 0), (255, 1, 0.011765, 0)),
        ),
        TableDesign(0.16, 0.88, 0.15, 0.73, (0, 6, 33, 75, 79, 85, 107, 162, 192, 213, 255), 13, detail=0.6),
    ),
    Palette(
        "PET-DICOM",
        (
            *((0, 0, 0, 0), (63, 0, 0.501961, 0.490196), (128, 0.501961, 0, 1)),
            *((192, 1, 0.501961, 0), (255, 1, 1, 1)),
        ),
        TableDesign(0.28, 0.87, 0.48, 0.8, (0, 16, 74, 80, 106, 143, 155, 164, 173, 181, 215), 12, detail=0.4),
    ),
    Palette(
        "PET-HotMetalBlue",
        (
            *((0, 0, 0, 0), (85, 0, 0, 0.654902), (102, 0.196078, 0, 0.784314), (119, 0.352941, 0, 0.588235)),
            *((136, 0.54902, 0.12549, 0.196078), (153, 0.745098, 0.25098, 0), (170, 1, 0.376471, 0), (255, 1, 1, 1)),
        ),
        TableDesign(0.32, 0.84, 0.2, 0.85, (0, 4, 14, 113, 117, 124, 130, 135, 139, 150, 215), 8, hot=0.02, detail=0.6),
    ),
    Palette(
        "PET-MaximumIntensityProjection",  # inverted grey
        ((0, 1, 1, 1), (255, 0, 0, 0)),
        TableDesign(0, 1, 1, 0, (0, 255)),  # no hue: the fused value in grey
    ),
)
BY_NAME = {palette.name: palette for palette in REGISTRY}
PALETTES = tuple(BY_NAME)
DEFAULT_PALETTE = PALETTES[0]

"""Draw the plots of a report as SVG for HTML pages. Needs matplotlib."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _LINE, _MARK = "#333333", "#1f5fa8", "#b3401e"
_ONE_AT_A_TIME = threading.Lock()  # matplotlib's settings are global in the process
_BINS = 128
_COLUMNS = 3  # of plots beside each other


def histogram(values: NDArray[np.floating], window: tuple[float, float], *, label: str, key: str) -> str:
    """Draw a histogram of intensities on a logarithmic axis, with the ends of the window.

    Args:
        values: (points,), finite.
        label: label of the intensity axis.
        key: prefix of the ids of this plot, unique in a page.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        counts, edges = np.histogram(values.astype(np.float64), bins=_BINS)
        axes.stairs(counts, edges, fill=True, color=_LINE, linewidth=0)
        axes.set_yscale("symlog", linthresh=1)  # this scale includes 0
        axes.yaxis.set_major_formatter("{x:,.0f}")  # typesetting powers of ten would take half of the time
        axes.set_ylim(0, max(counts.max(), 1) * 2)
        for end in window:
            axes.axvline(end, color=_MARK, linestyle="--", linewidth=1.2)
        axes.set_xlabel(label, parse_math=False)
        axes.set_ylabel("points")
        axes.locator_params("x", nbins=5)

    return _svg(4, 2, draw, key)


def curves(positions: Sequence[float], series: Mapping[str, Sequence[float]], *, label: str, key: str) -> str:
    """Draw each series over the positions, in its own plot with its name above; NaN is a gap.

    Args:
        label: label of the position axis.
        key: prefix of the ids of these plots, unique in a page.
    """
    rows = -(-len(series) // _COLUMNS)

    def draw(figure: Figure) -> None:
        for place, (name, values) in enumerate(series.items(), start=1):
            axes = figure.add_subplot(rows, _COLUMNS, place)
            axes.spines[["top", "right"]].set_visible(False)
            axes.plot(positions, values, color=_LINE, linewidth=1.2, marker=".", markersize=3)
            axes.set_title(name, fontsize=9, loc="left", fontweight="bold")
            axes.grid(color="#dddddd", linewidth=0.6)
            if place > len(series) - _COLUMNS:  # the last plot of its column
                axes.set_xlabel(label)

    return _svg(8.4, 1.6 * rows, draw, key)


@contextmanager
def _away_from_working_folder() -> Iterator[None]:
    """Work in another folder while matplotlib is imported: it reads ``matplotlibrc`` in the working folder, as a dataset."""
    if "matplotlib" in sys.modules:
        yield
        return
    here = Path.cwd()
    os.chdir(Path(__file__).parent)
    try:
        yield
    finally:
        os.chdir(here)


def _svg(width: float, height: float, draw: Callable[[Figure], None], key: str) -> str:
    """Return the SVG element without a file header; ``key`` before its ids makes them unique in a page."""
    with _ONE_AT_A_TIME, _away_from_working_folder():
        from matplotlib import rc_context, rcdefaults, rcParams
    from matplotlib.figure import Figure  # no pyplot: it would keep figures in memory and may need a display

    file = io.StringIO()
    with _ONE_AT_A_TIME, rc_context():
        rcdefaults()  # ignore the user's settings, such as LaTeX for text
        rcParams.update({"svg.fonttype": "none", "svg.hashsalt": key, "font.size": 8, "axes.edgecolor": _INK})
        figure = Figure((width, height), layout="constrained")
        draw(figure)
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    element = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\1{key}-", element)

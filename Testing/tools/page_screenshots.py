"""``make page-screenshots``: the pages that ``make cohort-demo`` has left, in Chromium, on a laptop and on a large screen.

page_screenshots.py DERIVATIVE FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from browsers import browser

_SCREENS = ((1366, 768), (1920, 1080))
_PICTURES = {"1": "color", "3": "blend", "4": "pet", "6": "outlines", "7": "checkerboard", "c": "compared"}  # by their keys


def main() -> None:
    """Entry point."""
    derivative, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    first = min(derivative.glob("sub-*.html"))
    with browser() as opened:
        for width, height in _SCREENS:
            tab = opened.new_page(viewport={"width": width, "height": height})
            tab.goto((derivative / "index.html").resolve().as_uri())
            tab.screenshot(path=str(folder / f"cohort-{width}.png"))
            tab.goto(first.resolve().as_uri())
            _draw_subject(tab, folder, width)
            tab.close()
    print(f"Pictures: {folder.resolve()}")


def _draw_subject(tab: Any, folder: Path, width: int) -> None:
    """Draw each picture of a pair, and the page as it is printed."""
    tab.wait_for_selector("body.interactive")
    for key, name in _PICTURES.items():
        tab.keyboard.press(key)
        tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        tab.screenshot(path=str(folder / f"subject-{name}-{width}.png"))
    tab.pdf(path=str(folder / "subject.pdf"), prefer_css_page_size=True)


if __name__ == "__main__":
    main()

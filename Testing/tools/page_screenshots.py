"""``make page-screenshots``: the pages that ``make cohort-demo`` has left, in Chromium.

page_screenshots.py DERIVATIVE FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from browsers import browser

_WIDTH, _HEIGHT = 1366, 768


def main() -> None:
    """Entry point."""
    derivative, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    first = min(derivative.glob("sub-*.html"))
    with browser() as opened:
        for name, page, whole in (("cohort", derivative / "index.html", False), ("subject", first, False)):
            tab = opened.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
            tab.goto(page.resolve().as_uri())
            if name == "subject":
                tab.wait_for_selector("body.interactive")
            tab.screenshot(path=str(folder / f"{name}.png"), full_page=whole)
    print(f"Pictures: {folder.resolve()}")


if __name__ == "__main__":
    main()

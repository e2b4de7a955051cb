"""Draw which parts of the library import which others: ``python import_picture.py PICTURE.png [PACKAGE]``."""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

PACKAGE = Path(__file__).resolve().parents[2] / "CSpADNFusion" / "cspadn"
_INK, _BOX, _LINE = "#222222", "#e8eef7", "#5b7db1"
_COLUMN, _ROW = 1.5, 0.95  # inches
_MOST_COLUMNS = 8


def main(arguments: list[str]) -> None:
    """Entry point."""
    picture, package = Path(arguments[0]), Path(arguments[1]) if arguments[1:] else PACKAGE
    found = imports_of(package)
    draw(found, picture)
    print(
        f"{len({name for pair in found for name in pair})} parts, {len(found)} arrows, {sum(found.values())} import statements"
    )


def imports_of(package: Path) -> Counter[tuple[str, str]]:
    """Count the statements with which one part of a package imports from another, also inside functions.

    A part is a module, or a subpackage, directly below the package. Imports for type checkers alone do not count.
    """
    found: Counter[tuple[str, str]] = Counter()
    parts = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    for file in package.rglob("*.py"):
        place = file.relative_to(package).with_suffix("").parts
        for module in _imported(ast.parse(file.read_text(encoding="utf-8")), (package.name, *place[:-1])):
            if module[:1] == (package.name,) and len(module) > 1 and module[1] in parts and module[1] != place[0]:
                found[place[0], module[1]] += 1
    return Counter({pair: count for pair, count in found.items() if not pair[0].startswith("__")})


def _imported(tree: ast.AST, place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the full names of imported modules; ``place`` is the package of the file."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = place[: len(place) - node.level + 1] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            yield from ((*module, alias.name) for alias in node.names)
        yield from _imported(node, place)


def levels_of(found: Counter[tuple[str, str]]) -> dict[str, int]:
    """Return the height of each part: above all that it imports."""
    uses = defaultdict(set)
    for user, used in found:
        uses[user].add(used)
    levels: dict[str, int] = {}

    def level(name: str, above: tuple[str, ...] = ()) -> int:
        if name in above:
            raise ValueError(f"The parts {' and '.join(above[above.index(name) :])} import each other.")
        if name not in levels:
            levels[name] = max((level(each, (*above, name)) + 1 for each in uses[name]), default=0)
        return levels[name]

    for pair in found:
        for name in pair:
            level(name)
    return levels


def draw(found: Counter[tuple[str, str]], picture: Path) -> None:
    """Draw the parts by their levels, and a line for each import, thicker for more statements."""
    places, size = _places(levels_of(found))
    figure = Figure(size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, size[0])
    axes.set_ylim(0, size[1])
    for (user, used), count in found.items():
        arrow = {"arrowstyle": "-|>", "color": _LINE, "alpha": 0.55, "linewidth": 0.5 + 0.12 * min(count, 20)}
        axes.annotate("", places[used], places[user], arrowprops={**arrow, "shrinkA": 13, "shrinkB": 13})
    for name, place in places.items():
        box = {"boxstyle": "round,pad=0.35", "facecolor": _BOX, "edgecolor": _INK, "linewidth": 0.8}
        axes.text(*place, name, ha="center", va="center", fontsize=9, color=_INK, bbox=box)
    figure.savefig(picture, dpi=80)


def _places(levels: dict[str, int]) -> tuple[dict[str, tuple[float, float]], tuple[float, float]]:
    """Return the place of each part in inches, and the size of the picture."""
    rows: list[list[str]] = []
    for height in sorted(set(levels.values()), reverse=True):
        names = sorted(name for name in levels if levels[name] == height)
        rows += [names[i : i + _MOST_COLUMNS] for i in range(0, len(names), _MOST_COLUMNS)]
    width, tall = _COLUMN * max(4, *map(len, rows)), _ROW * len(rows)
    places = {}
    for number, names in enumerate(rows):
        shift = 0.35 * _COLUMN * (-1) ** number if len(names) < max(map(len, rows)) else 0.0  # lines pass beside boxes
        for column, name in enumerate(names):
            x = width * (column + 0.5) / len(names) + (
                shift if len(names) == 1 or len(names) * _COLUMN < width - _COLUMN else 0
            )
            places[name] = (x, tall - _ROW * (number + 0.5))
    return places, (width, tall)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Measure the registration: ``python -m training.registration --data DATA --output docs``.

Write ``registration.md``, a picture, and the tables as CSV files in ``results``. Measurements that are already in the tables
are not repeated: delete the tables to repeat them. If antspyx is installed, it is measured on every Nth case for comparison
(``--peer-every N``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cspadn.errors import FusionError
from training.command import help_text
from training.evaluation.registration import (
    Checked,
    Measured,
    all_settings,
    append_row,
    has_ants,
    measure_checks,
    measure_registration,
    read_rows,
)
from training.evaluation.registration_cases import RegistrationCase, Setting, simulate
from training.evaluation.registration_page import atlas_section, draw_picture, page

REGISTRATIONS, CHECKS = "registration.csv", "registration_check.csv"


def measure(data: Path, folder: Path, limit: int | None, peer_every: int) -> None:
    """Measure the cases that are not yet in the tables of a folder."""
    done = read_rows(folder / REGISTRATIONS, Measured)
    have = {(row.method, row.head, row.contrast, row.tracer, row.slice_mm) for row in done}
    for index, setting in enumerate(all_settings()[:limit]):
        methods = ["antspyx"] if has_ants() and index % peer_every == 0 else []
        missing = [name for name in ["cspadn", *methods] if (name, *_key(setting)) not in have]
        if not missing:
            continue
        case = simulate(data / "label_maps", setting)
        for method in missing:
            if method == "cspadn":
                _measure_checks(case, setting, folder)
            append_row(folder / REGISTRATIONS, measure_registration(case, setting, method))
        print(f"{index + 1}: {setting}", flush=True)


def _key(setting: Setting) -> tuple[int, str, str, int]:
    return setting.head, setting.contrast, setting.tracer, setting.slice_mm


def _measure_checks(case: RegistrationCase, setting: Setting, folder: Path) -> None:
    for row in list(measure_checks(case, setting)):
        append_row(folder / CHECKS, row)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.registration", description=help_text(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with data/label_maps and data/volumes")
    parser.add_argument("--output", type=Path, required=True, help="folder of the documents, such as docs")
    parser.add_argument("--limit", type=_positive, help="measure only the first LIMIT cases")
    parser.add_argument("--peer-every", type=_positive, default=9, help="measure antspyx on every Nth case (default: 9)")
    options = parser.parse_args(arguments)
    results, pictures = options.output / "results", options.output / "pictures"
    try:
        for folder in (results, pictures):
            folder.mkdir(parents=True, exist_ok=True)
        measure(options.data / "data", results, options.limit, options.peer_every)
        registrations = read_rows(results / REGISTRATIONS, Measured)
        checks = read_rows(results / CHECKS, Checked)
        draw_picture(options.data / "data", pictures / "registration.png")
        text = page(registrations, checks, atlas_section(options.data / "data"))
        (options.output / "registration.md").write_text(text, encoding="utf-8")
    except FusionError as error:
        print(f"training.registration: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of cases: use 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

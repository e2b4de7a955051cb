"""The tables of docs/benchmarks.md from what pytest-benchmark recorded: ``python report.py RECORD.json docs/benchmarks.md``.

What stands in the document outside the two marks is written by hand, and stays.
"""

from __future__ import annotations

import json
import math
import platform
import statistics
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
METHODS = ("straightforward", "ours", "IFCNN", "TFNet", "MSVD", "GTF")
SHARE = 0.05  # allowed between the exponent in slices and 1

Runs = dict[tuple[str, ...], list[dict[str, Any]]]


def main() -> None:
    """Entry point."""
    record, document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2])
    runs = _runs(record)
    parts = [_machine(record), _against(runs), _bounds(runs), _growth(runs), _limit(runs), _other(runs)]
    text = document.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    document.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}", encoding="utf-8")
    print("\n\n".join(parts))


def _runs(record: dict[str, Any]) -> Runs:
    """By test and parameters but the turn: what each turn said."""
    runs: Runs = defaultdict(list)
    for each in record["benchmarks"]:
        parameters = {name: value for name, value in (each["params"] or {}).items() if name != "turn"}
        key = (each["name"].split("[")[0], *(str(parameters[name]) for name in sorted(parameters)))
        runs[key].append(each["extra_info"])
    return runs


def _all(runs: list[dict[str, Any]], clock: str) -> list[float]:
    return [value for run in runs for value in run[clock]]


def _median(runs: list[dict[str, Any]], clock: str) -> float:
    return statistics.median(_all(runs, clock))


def _spread(runs: list[dict[str, Any]], clock: str) -> str:
    values = _all(runs, clock)
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _machine(record: dict[str, Any]) -> str:
    cpu = record["machine_info"]["cpu"]
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "SimpleITK", "scipy"))
    return (
        f"{cpu.get('brand_raw', platform.machine())}, {cpu['count']} cores, {platform.system()}, Python "
        f"{record['machine_info']['python_version']}, {packages}; {record['datetime'][:10]}."
    )


def _against(runs: Runs) -> str:
    lines = [
        "### Against other methods",
        "",
        "Seconds per slice of 256 x 256: median (least to most of all passes). Peak: of the process.",
        "",
        "| input | method | threads | CPU-seconds | wall | peak MB | CPU, straightforward / this |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for test, title in (("test_atlas", "atlas, 94 slices"), ("test_pair", "one pair")):
        for threads in ("1", "2"):
            plain = _median(runs[test, "straightforward", threads], "cpu")
            for method in METHODS:
                these = runs[test, method, threads]
                peak = max(run["peak_mb"] for run in these)
                cells = (title, method, threads, _spread(these, "cpu"), _spread(these, "wall"), f"{peak:.0f}")
                lines.append(f"| {' | '.join(cells)} | {plain / _median(these, 'cpu'):.2f} |")
    return "\n".join(lines)


def _bounds(runs: Runs) -> str:
    atlas = {method: _median(runs["test_atlas", method, "1"], "cpu") for method in METHODS}
    noise = {method: _median(runs["test_noise", method], "cpu") for method in METHODS[:2]}
    rows = [
        ("atlas: CPU, straightforward / ours", atlas["straightforward"] / atlas["ours"], ">=", 4.0),
        ("atlas: CPU, ours / IFCNN", atlas["ours"] / atlas["IFCNN"], "<=", 1.0),
        ("noise: CPU, straightforward / ours", noise["straightforward"] / noise["ours"], ">=", 2.5),
    ]
    lines = ["### Bounds", "", "One thread.", "", "| | measured | bound | |", "| --- | --- | --- | --- |"]
    for name, value, sign, bound in rows:
        met = value >= bound if sign == ">=" else value <= bound
        lines.append(f"| {name} | {value:.2f} | {sign} {bound:g} | {'within' if met else '**beyond**'} |")
    return "\n".join(lines)


def _growth(runs: Runs) -> str:
    pixels = {size: _median(runs["test_pixels", str(size)], "cpu") for size in (128, 256, 512)}
    slices = {count: count * _median(runs["test_slices", str(count)], "cpu") for count in (1, 8, 94)}
    by_pixels = _exponent({size**2: seconds for size, seconds in pixels.items()})
    by_slices = _exponent(slices)
    lines = ["### How the cost grows", "", "Ours, one thread, CPU-seconds; pixels: noise, slices: one of the atlas.", ""]
    lines += ["| | | | | exponent | bound | |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for title, found, exponent, bound, met in (
        ("slice of 128², 256², 512²", pixels, by_pixels, "<= 1.25", by_pixels <= 1.25),
        ("1, 8, 94 slices", slices, by_slices, f"1.00 +- {SHARE}", abs(by_slices - 1) <= SHARE),
    ):
        cells = " | ".join(f"{value:.3f}" for value in found.values())
        lines.append(f"| {title} | {cells} | {exponent:.3f} | {bound} | {'within' if met else '**beyond**'} |")
    return "\n".join(lines)


def _exponent(points: dict[int, float]) -> float:
    """Of the power law, by least squares of the logarithms."""
    x, y = [math.log(size) for size in points], [math.log(seconds) for seconds in points.values()]
    slope, _ = statistics.linear_regression(x, y)
    return slope


def _limit(runs: Runs) -> str:
    rates = {name: statistics.median(run[name] for run in runs["test_matrix_product",]) for name in ("BLAS", "oneDNN")}
    best = max(rates.values())
    lines = ["### Against the limit", ""]
    lines.append(
        "Products of 1024 x 1024 matrices, one thread: "
        + ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in rates.items())
        + ". The limit is the time that the operations which remain would take at the higher rate."
    )
    lines += [
        "",
        "| | GFLOP per slice | at the limit, s | measured, s | measured / limit |",
        "| --- | --- | --- | --- | --- |",
    ]
    for source, key in (("atlas", ("test_atlas", "ours", "1")), ("noise", ("test_noise", "ours"))):
        count = runs["test_operations", source][0]["operations"]
        limit, measured = count / best, _median(runs[key], "cpu")
        lines.append(f"| {source} | {count / 1e9:.1f} | {limit:.3f} | {measured:.3f} | {measured / limit:.2f} |")
    return "\n".join(lines)


def _other(runs: Runs) -> str:
    lines = ["### Training step and start-up", ""]
    step = runs["test_training_step",][0]
    seconds, ratio = step["cpu_seconds"], step["cpu_ratio"]
    size = f"{step['patch']} x {step['patch']}"
    lines.append(
        f"Training step of {step['batch']} patches of {size}, {step['threads']} threads, CPU-seconds: "
        + ", ".join(f"{name} {value}" for name, value in seconds.items())
        + "; "
        + ", ".join(f"{name} {value} times as fast" for name, value in ratio.items())
        + "."
    )
    lines += ["", "| start-up, wall seconds | median | least to most | bound |", "| --- | --- | --- | --- |"]
    bounds = {"cspadn --help": "< 0.3", "cspadn fuse of one slice": "< 3"}
    for key, found in runs.items():
        if key[0] in ("test_start_up", "test_module"):
            times = found[0]
            line = f"{times['median']:.2f} | {times['least']:.2f} to {times['most']:.2f} | {bounds.get(key[-1], '')}"
            lines.append(f"| {key[1] if len(key) > 1 else 'import of the module'} | {line} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

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
LEARNED = ("IFCNN", "TFNet", "DenseFuse", "SDNet")
METHODS = ("straightforward", "ours", *LEARNED, "MSVD", "GTF")
INSTRUCTIONS = ("own", "AVX2")
SHARE = 0.05  # allowed between the exponent in slices and 1

Runs = dict[tuple[str, ...], list[dict[str, Any]]]


def main() -> None:
    """Entry point."""
    record, document = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2])
    runs = _runs(record)
    parts = [_machine(record), _against(runs), _bounds(runs), _whole(runs), _growth(runs), _limit(runs), _other(runs)]
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
    flags = [flag for flag in ("avx2", "avx512f", "amx_tile") if flag in cpu.get("flags", [])]
    return (
        f"{cpu.get('brand_raw', platform.machine())} ({', '.join(flags)}), {cpu['count']} cores, {platform.system()}, Python "
        f"{record['machine_info']['python_version']}, {packages}; {record['datetime'][:10]}. *Own*: with all instructions of "
        "this processor. *AVX2*: oneDNN, torch's own kernels, MKL and OpenBLAS limited to AVX2."
    )


def _against(runs: Runs) -> str:
    lines = [
        "### Against other methods",
        "",
        "Seconds per slice of 256 x 256, every second slice of the atlas: median (least to most of all passes). Peak: of the "
        "process. DenseFuse and SDNet: their layers as published, with random weights.",
        "",
        "| instructions | threads | method | CPU-seconds | wall | peak MB | CPU, straightforward / this | CPU, ours / this |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for title, threads, key in (
        ("own", 1, ("test_atlas", "own")),
        ("AVX2", 1, ("test_atlas", "AVX2")),
        ("own", 2, ("test_two_threads",)),
    ):
        plain, ours = (_median(runs[(*key, method)], "cpu") for method in METHODS[:2])
        for method in METHODS:
            these = runs[(*key, method)]
            peak, cpu = max(run["peak_mb"] for run in these), _median(these, "cpu")
            cells = (title, str(threads), method, _spread(these, "cpu"), _spread(these, "wall"), f"{peak:.0f}")
            lines.append(f"| {' | '.join(cells)} | {plain / cpu:.2f} | {ours / cpu:.2f} |")
    return "\n".join(lines)


def _bounds(runs: Runs) -> str:
    lines = ["### Bounds", "", "One thread.", "", "| | own | AVX2 | bound | |", "| --- | --- | --- | --- | --- |"]
    rows: dict[str, tuple[list[float], str, float]] = {}
    atlas = [{method: _median(runs["test_atlas", each, method], "cpu") for method in METHODS} for each in INSTRUCTIONS]
    noise = [{method: _median(runs["test_noise", each, method], "cpu") for method in METHODS[:2]} for each in INSTRUCTIONS]
    rows["atlas: CPU, straightforward / ours"] = [each["straightforward"] / each["ours"] for each in atlas], ">=", 2.0
    rows["noise: CPU, straightforward / ours"] = [each["straightforward"] / each["ours"] for each in noise], ">=", 1.5
    for method in LEARNED:
        bound = 0.5 if method == "IFCNN" else 1.0
        rows[f"atlas: CPU, ours / {method}"] = [each["ours"] / each[method] for each in atlas], "<=", bound
    for name, (values, sign, bound) in rows.items():
        met = all(value >= bound if sign == ">=" else value <= bound for value in values)
        cells = " | ".join(f"{value:.2f}" for value in values)
        lines.append(f"| {name} | {cells} | {sign} {bound:g} | {_verdict(met)} |")
    return "\n".join(lines)


def _verdict(met: bool) -> str:
    return "within" if met else "**beyond**"


def _whole(runs: Runs) -> str:
    """The stages of a whole run, medians; the peak is the largest."""
    stages = ("start and rest", "read", "windows", "alignment check", "fuse", "write")
    lines = [
        "### A whole run",
        "",
        "`cspadn fuse` of the atlas volume (94 slices) with colour, two threads, wall seconds; the process is timed from its "
        "start to its end.",
        "",
        f"| instructions | {' | '.join(stages)} | in all | bound | | peak MB | bound | |",
        "| --- |" + " --- |" * (len(stages) + 6),
    ]
    for each in INSTRUCTIONS:
        these = runs["test_whole_run", each]
        seconds = {stage: statistics.median(run["stages"].get(stage, 0) for run in these) for stage in stages}
        wall, peak = statistics.median(run["wall"] for run in these), max(run["peak_mb"] for run in these)
        cells = " | ".join(f"{seconds[stage]:.1f}" for stage in stages)
        lines.append(
            f"| {each} | {cells} | {wall:.1f} | < 8 | {_verdict(wall < 8)} | {peak:.0f} | < 500 | {_verdict(peak < 500)} |"
        )
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
        lines.append(f"| {title} | {cells} | {exponent:.3f} | {bound} | {_verdict(met)} |")
    return "\n".join(lines)


def _exponent(points: dict[int, float]) -> float:
    """Of the power law, by least squares of the logarithms."""
    x, y = [math.log(size) for size in points], [math.log(seconds) for seconds in points.values()]
    slope, _ = statistics.linear_regression(x, y)
    return slope


def _limit(runs: Runs) -> str:
    lines = [
        "### Against the limit",
        "",
        "The limit is the time that the operations which remain would take at the higher of two rates, one thread: of "
        "products of 1024 x 1024 matrices, and of a 3x3 convolution of 64 channels on 64 x 64 pixels.",
        "",
        "| instructions | product, GFLOP/s | convolution, GFLOP/s | | GFLOP a slice | at the limit, s | measured, s | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in INSTRUCTIONS:
        rates = [statistics.median(run[name] for run in runs["test_rates", each]) for name in ("product", "convolution")]
        for source in ("atlas", "noise"):
            count = runs["test_operations", source][0]["operations"]
            limit, measured = count / max(rates), _median(runs[f"test_{source}", each, "ours"], "cpu")
            cells = (each, *(f"{rate / 1e9:.0f}" for rate in rates), source, f"{count / 1e9:.2f}")
            lines.append(f"| {' | '.join(cells)} | {limit:.3f} | {measured:.3f} | {measured / limit:.2f} |")
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

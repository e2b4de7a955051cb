"""The whole evaluation on a small made-up data set."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from evaluation_data import TRAINING, slice_of
from training_runs import TINY

pytest.importorskip("matplotlib")
pytest.importorskip("lightning")

from PIL import Image as pillow

from cspadn.errors import MemoryExhaustedError
from cspadn.metrics import NAMES, RESULT_NAMES
from cspadn.models.cspadn import CSpADN, NetworkConfig
from cspadn.models.weights import list_models, save_model
from training import evaluate
from training.baselines import TRAINED
from training.baselines.tfnet import TFNet
from training.baselines.trivial import maximum
from training.evaluation import curves, paper, trained
from training.evaluation.folder import staged
from training.evaluation.inputs import PAPER_MODEL, RULE, model_rows
from training.evaluation.intervals import spread
from training.evaluation.pairs import SAME_HEAD, SECOND_SUBJECT, Pair, read_set
from training.evaluation.rows import measure_rows, trivial_rows, workers
from training.export import save_half

TRIVIAL = {"average", "maximum", "MRI only", "PET only", "Laplacian"}
PARTS = {"table1", "subject2", "black", "sizes"}
OPTIONAL = {"ablation", "training"}
RESULTS = "results"  # the folder that is written
MEMORY_LINE = "A worker was ended: not enough memory; use --processes 1."


def _write(levels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(levels, isVector=levels.ndim == 3), str(path))


def _data_set(folder: Path, split: dict[str, str], read: str) -> None:
    """Pictures only of the subset that is to be read: another pair could not be."""
    for seed, (name, subset) in enumerate(split.items()):
        if subset == read:
            pet = slice_of(2 * seed)
            _write(np.stack([pet, pet // 2, 255 - pet], axis=-1) * (pet > 0)[..., None], folder / "pet" / f"{name}.png")
            _write(slice_of(2 * seed + 1), folder / "mri" / f"{name}.png")
    rows = "".join(f"{name},{subset}\n" for name, subset in split.items())
    (folder / "split.csv").write_text("id,subset\n" + rows)


@dataclass
class Folders:
    data: Path
    weights: Path
    curves: Path
    output: Path

    def run(self, *more: str) -> int:
        options = {"data": self.data, "weights": self.weights, "curves": self.curves, "output": self.output}
        arguments = [text for name, path in options.items() for text in (f"--{name}", str(path))]
        return evaluate.main([*arguments, "--processes", "1", *more])


def _make(root: Path) -> Folders:
    data = root / "given"
    _data_set(data / SAME_HEAD[0], {"a": "train", "b": "test_same_head", "c": "test_same_head", "d": "gap"}, SAME_HEAD[1])
    _data_set(data / SECOND_SUBJECT[0], {"p": "test", "q": "test", "r": "else"}, SECOND_SUBJECT[1])
    for seed, peer in enumerate(("IFCNN", "OtherNet")):
        for name in "pq":
            _write(slice_of(20 + seed), data / "peers" / "fused" / "subject2" / peer / f"{name}.png")
    (root / "weights").mkdir()
    torch.manual_seed(3)
    save_half(TFNet(), root / "weights" / "tfnet.safetensors")
    return Folders(data, root / "weights", root / "curves", root / RESULTS)


def _add_optional_parts(folders: Folders) -> None:
    (folders.weights / "ablation").mkdir()
    for variant in ("both", "none"):
        for seed in (1, 2):
            torch.manual_seed(seed)
            network = CSpADN(NetworkConfig(**{**vars(TINY), "attention": variant})).half()
            path = folders.weights / "ablation" / f"{variant}-{seed}.safetensors"
            save_model(network, path, version="1", description="", date="", training=TRAINING, metrics={})
    (folders.curves / "ablation").mkdir(parents=True)
    for name in ("cspadn", "cspadn-paper"):
        rows = [f"{i},{i},{50 * math.exp(-i / 9) + 20:.4f},{30 if i % 10 == 9 else ''}\n" for i in range(60)]
        (folders.curves / f"{name}.csv").write_text("epoch,step,train_loss,validation_loss\n" + "".join(rows))
    for name in ("both-1", "both-2", "none-1"):
        (folders.curves / "ablation" / f"{name}.csv").write_text("step,train_loss,validation_loss\n2,30,\n5,20,25\n6,18,\n")


@contextmanager
def _here(processes: int):
    """Workers that are this process: they know the stand-in."""
    yield map


@pytest.fixture(scope="module")
def stand_in() -> None:
    """For IFCNN, whose weights are not the project's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "workers", _here)
        patch.setitem(TRAINED, "IFCNN", lambda path: maximum)
        yield


@pytest.fixture
def folders(tmp_path: Path, stand_in: None) -> Folders:
    return _make(tmp_path)


def _evaluate(root: Path) -> None:
    made = _make(root)
    _add_optional_parts(made)
    assert made.run() == 0
    assert made.output == root / RESULTS


@pytest.fixture(scope="module")
def results(once: Callable[[str, Callable[[Path], object]], Path], stand_in: None) -> Path:
    """Of one run with all parts."""
    return once("evaluation", _evaluate) / RESULTS


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_parts_are_written(results: Path) -> None:
    written = {path.name for path in results.iterdir()}
    for part in PARTS | OPTIONAL:
        assert {f"{part}.csv", f"{part}.md"} <= written
    assert {"same_head_pairs.csv", "subject2_pairs.csv", "README.md", "training.png", "subject2.png"} <= written
    assert "ablation_curves.png" in written
    assert {f"figure{number}.png" for number in (5, 6, 7)} <= written


def test_index_shows_everything_and_links_lead_somewhere(results: Path) -> None:
    index = (results / "README.md").read_text()
    for page in results.glob("*.md"):
        targets = re.findall(r"\]\(([^)]+)\)", page.read_text())
        missing = {target for target in targets if not (results / target).exists()}
        assert missing <= {"observer.md", "attention.md"}  # of another command
    for part in PARTS | OPTIONAL:
        assert (results / f"{part}.md").read_text().split("\n\n", 1)[1].strip() in index
    assert all(f"({picture.name})" in index for picture in results.glob("*.png"))
    for card in list_models():
        assert f"{card.training['steps']} | {card.training['config']['seed']}" in index


def test_index_has_the_command_and_every_file(results: Path) -> None:
    index = (results / "README.md").read_text()
    assert "\nMade by `python -m training.evaluate` in " in index
    assert str(results.parent) not in index  # a folder of this machine
    made = {path.name for path in results.iterdir()} - {"README.md"}
    assert set(re.findall(r"^- \[(\S+)\]", index.rpartition("## Files")[2], re.MULTILINE)) == made


def test_only_the_right_subsets_are_evaluated(results: Path) -> None:
    assert {row["pair"] for row in _rows(results / "same_head_pairs.csv")} == {"b", "c"}
    assert {row["pair"] for row in _rows(results / "sizes.csv")} == {"b", "c"}
    assert {row["pair"] for row in _rows(results / "subject2_pairs.csv")} == {"p", "q"}


def test_subsets_of_the_real_tables(shared: Path) -> None:
    for (folder, subset), ids in ((SAME_HEAD, range(41056, 41076)), (SECOND_SUBJECT, range(11, 31))):
        table = {row["id"]: row["subset"] for row in _rows(shared / folder / "split.csv")}
        names = [pair.name for pair in read_set(shared / folder, subset)]
        assert names == [str(number) for number in ids]
        assert {table[name] for name in names} == {subset}


def test_every_row_is_in_the_tables(results: Path) -> None:
    models = {row.name for row in model_rows()}
    table = _rows(results / "table1.csv")
    assert [row["method"] for row in table][:5] == ["GTF", "MSVD", "IFCNN", "TFNet", PAPER_MODEL]
    models |= {f"{name}, network alone" for name in models}
    assert {row["method"] for row in table} == {"GTF", "MSVD", "IFCNN", "TFNet"} | TRIVIAL | models
    assert {row["method"] for row in _rows(results / "subject2.csv")} == {"IFCNN", "OtherNet", "TFNet"} | TRIVIAL | models
    black = {row["method"] for row in _rows(results / "black.csv")}
    assert black == {"GTF", "MSVD", "IFCNN", "OtherNet", "TFNet"} | TRIVIAL | models
    assert (results / "table1.md").read_text().count(f"| {PAPER_MODEL} (ours) |") == 2


def test_published_values_stand_beside_the_measured(results: Path) -> None:
    table = {row["method"]: row for row in _rows(results / "table1.csv")}
    assert table["GTF"]["EN_published"] == "4.289700"
    assert table[PAPER_MODEL]["FMI_dct_published"] == "0.393300"
    assert table["maximum"]["EN_published"] == ""


def test_means_are_those_of_the_pairs(results: Path) -> None:
    of_pairs = [row for row in _rows(results / "same_head_pairs.csv") if row["method"] == "MSVD"]
    mean = next(row for row in _rows(results / "table1.csv") if row["method"] == "MSVD")
    for name in NAMES:
        assert float(mean[name]) == pytest.approx(np.mean([float(row[name]) for row in of_pairs]), abs=2e-6)


def test_second_subject_has_every_row_in_order(results: Path) -> None:
    models = [row.name for row in model_rows()]
    networks = [f"{name}, network alone" for name in models]
    table = _rows(results / "subject2.csv")
    order = ["MRI only", "PET only", "average", "maximum", "Laplacian", "IFCNN", "OtherNet", "TFNet", *models, *networks]
    assert [row["method"] for row in table] == order
    assert list(table[0]) == ["method", "group", *RESULT_NAMES]
    lines = [line for line in (results / "subject2.md").read_text().splitlines() if line.startswith("| ")][2:]
    for line, row in zip(lines, table, strict=True):
        name, *values = (cell.strip() for cell in line.split("|")[1:-1])
        assert name.strip("*").removesuffix(" (ours)") == row["method"]
        expected = [row[measure] for measure in RESULT_NAMES]
        assert [re.sub(r"\d+\.\d{4}", "?", value) for value in values] == [
            re.sub(r"\d+\.\d{6}", "?", value) for value in expected
        ]
        rounded = [abs(float(a) - float(b)) for a, b in zip(values, expected, strict=True) if a]
        assert max(rounded) < 5.1e-5  # of four decimals, and of six in the CSV file


def test_nothing_is_claimed_of_the_second_subject(results: Path) -> None:
    page = (results / "subject2.md").read_text()
    assert re.search(r"\b(rank|better|best|first|place)", page) is None
    assert "reward a copy of the MRI" in page
    assert "[a numerical observer](observer.md)" in page


def test_the_papers_model_is_compared_with_four_methods(results: Path) -> None:
    means = {row["method"]: row for row in _rows(results / "table1.csv")}
    page = (results / "table1.md").read_text()
    for measure in paper.TABLE_MEASURES:
        rival = max((name for name in paper.FIVE if name != PAPER_MODEL), key=lambda name: float(means[name][measure]))
        lead = float(means[PAPER_MODEL][measure]) - float(means[rival][measure])
        place = "first of five" if lead > 0 else "not first"
        (line,) = [line for line in page.splitlines() if line.startswith(f"- {measure}: ")]
        found = re.fullmatch(
            rf"- {measure}: {PAPER_MODEL} is {place}, (.{{6}}) (above|below) {rival}; it is .* 2 pairs\.", line
        )
        assert found is not None, line
        assert float(found[1]) == pytest.approx(abs(lead), abs=1e-4)
        assert (found[2] == "above") == (lead > 0)


def test_what_flatters_us_is_said(results: Path) -> None:
    page = (results / "table1.md").read_text()
    assert "These pairs do not test an unseen head" in page
    assert "learning rate was chosen on these pairs" in page
    assert "Its training used slices of this head in all three planes, but not these axial slices" in page
    for text in (page, (results / "subject2.md").read_text()):
        assert RULE in text
    assert "by construction" in (results / "black.md").read_text()


def test_budgets_are_those_of_cards_and_configurations(results: Path) -> None:
    page, options = (results / "table1.md").read_text(), trained.options_by_name("tfnet")
    steps, batch = options["epochs"] * options["steps_per_epoch"], options["batch_size"]
    assert f"- TFNet: {steps:,} steps x {batch} = {steps * batch:,} patches" in page
    for card in list_models():
        steps, batch = card.training["steps"], card.training["config"]["batch_size"]
        assert f"- {card.name}: {steps:,} steps x {batch} = {steps * batch:,} patches" in page
    assert "- IFCNN: published weights" in page
    assert trained.loss_text({"loss": {"mse": 1.0, "qabf": 1.5}}) == "1 mse + 1.5 qabf"
    assert trained.options_by_name("nobody") == {}


def test_ablation_has_the_difference_of_equal_seeds(results: Path) -> None:
    table = {(row["attention"], row["seed"]): row for row in _rows(results / "ablation.csv")}
    differences = [float(table["both", seed]["EN"]) - float(table["none", seed]["EN"]) for seed in "12"]
    assert float(table["both - none", "mean"]["EN"]) == pytest.approx(np.mean(differences), abs=2e-6)
    deviation = float(table["both - none", "standard deviation"]["EN"])
    assert deviation == pytest.approx(np.std(differences, ddof=1), abs=3e-6)
    ends = [float(table["both - none", end]["EN"]) for end in ("95 % from", "95 % to")]
    assert ends == pytest.approx(spread(differences)[2:], abs=1e-4)
    assert float(table["both", "1"]["alpha"]) == 0
    assert table["none", "1"]["alpha"] == ""


def test_ablation_tells_its_options_and_each_seed(results: Path) -> None:
    page = (results / "ablation.md").read_text()
    assert "The loss has a trap" in page
    assert "Loss: 1 mse + 100 ssim, after 2 steps of MSE alone. Each run: 7 steps x 3 = 21 patches. Seeds: 1 and 2." in page
    seeds = [row["Qabf"] for row in _rows(results / "ablation.csv") if row["attention"] == "both" and row["seed"] in "12"]
    assert f"| {', '.join(f'{float(value):.4f}' for value in seeds)} |" in page
    assert page.count("| both - none |") == len(RESULT_NAMES)
    assert page.count("| excludes 0 |") + page.count("| does not exclude 0 |") == len(RESULT_NAMES)
    assert "2 seeds cannot show small effects" in page


def test_training_says_whether_the_loss_rests(results: Path) -> None:
    first, second = _rows(results / "training.csv")
    assert (first["run"], second["run"], first["steps"]) == ("cspadn", "cspadn-paper", "60")
    losses = [50 * math.exp(-i / 9) + 20 for i in range(48, 60)]
    assert float(first["last_tenth"]) == pytest.approx(np.mean(losses[6:]), abs=1e-3)
    assert float(first["change"]) == pytest.approx(np.mean(losses[6:]) / np.mean(losses[:6]) - 1, abs=1e-4)
    assert float(first["last_validation"]) == 30


def test_the_start_with_mse_alone_is_told(results: Path) -> None:
    assert curves.mse_steps("nobody") == 0
    assert curves.mse_steps("tfnet") == trained.options_by_name("tfnet")["mse_steps"]
    page = (results / "training.md").read_text()
    assert ("shaded span" in page) == any(map(curves.mse_steps, ("cspadn", "cspadn-paper")))
    assert "Each point of the curve is the mean of an epoch" in page


def test_pictures_are_small_and_not_blank(results: Path) -> None:
    for path in results.glob("*.png"):
        pixels = np.asarray(pillow.open(path))
        assert path.stat().st_size < 600_000
        assert min(pixels.shape[:2]) > 200
        assert np.unique(pixels).size > 10


@pytest.mark.slow
def test_without_optional_parts(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    assert folders.run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "no ablation" in line or "no training curves" in line] == [
        f"evaluate: no ablation: there are no weights in {folders.weights / 'ablation'}",
        f"evaluate: no training curves: there are none in {folders.curves}",
    ]
    pages = {path.name: path.read_bytes() for path in folders.output.iterdir() if path.name != "README.md"}
    assert {name.removesuffix(".md") for name in pages if name.endswith(".md")} == PARTS


@pytest.mark.slow
def test_a_second_run_gives_the_same(folders: Folders) -> None:
    assert folders.run() == 0
    pages = {path.name: path.read_bytes() for path in folders.output.iterdir() if path.name != "README.md"}
    assert folders.run() == 0
    assert pages == {path.name: path.read_bytes() for path in folders.output.iterdir() if path.name != "README.md"}


def _damaged_curve(folders: Folders) -> None:
    folders.curves.mkdir()
    (folders.curves / "cspadn.csv").write_text("epoch,loss\n1,2\n")


SPOIL: dict[str, tuple[Callable[[Folders], object], str]] = {
    "no data": (lambda f: f.data.rename(f.data.with_name("moved")), "split.csv does not exist"),
    "no table": (lambda f: (f.data / SECOND_SUBJECT[0] / "split.csv").unlink(), "split.csv does not exist"),
    "a missing partner": (lambda f: (f.data / SAME_HEAD[0] / "mri" / "c.png").unlink(), "c.png does not exist"),
    "no peers": (lambda f: (f.data / "peers").rename(f.data / "moved"), "contains no fused images of other methods"),
    "a peer without a picture": (
        lambda f: (f.data / "peers" / "fused" / "subject2" / "OtherNet" / "q.png").unlink(),
        "q.png does not exist",
    ),
    "a peer's picture of another size": (
        lambda f: _write(np.zeros((8, 8), np.uint8), f.data / "peers" / "fused" / "subject2" / "OtherNet" / "q.png"),
        "must have 8 bits and the size of the pair",
    ),
    "no weights": (lambda f: (f.weights / "tfnet.safetensors").unlink(), "train TFNet first"),
    "a damaged curve": (_damaged_curve, "is not a training curve"),
}


@pytest.mark.parametrize("what", SPOIL)
def test_missing_data_is_one_line_before_the_work(folders: Folders, capsys: pytest.CaptureFixture[str], what: str) -> None:
    spoil, message = SPOIL[what]
    spoil(folders)
    assert folders.run() == (4 if what == "no weights" else 3)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("evaluate: ")
    assert message in line
    assert not folders.output.exists()
    assert not list(folders.output.parent.glob(".*"))


def test_count_of_processes(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("0", "-1", "x"):
        with pytest.raises(SystemExit):
            folders.run("--processes", text)
        assert "it must be a whole number from 1 on" in capsys.readouterr().err


def test_folder_is_exchanged_only_when_all_is_there(tmp_path: Path) -> None:
    output = tmp_path / "results"
    output.mkdir()
    for name in ("training_step.json", "old.csv", "kept.csv", "foreign.md"):
        (output / name).write_text("before")
    (output / "README.md").write_text("# Results\n\n- [foreign.md](foreign.md)\n\n## Files\n\n- [old.csv](old.csv)\n")
    with pytest.raises(IsADirectoryError), staged(output) as folder:
        (folder / "kept.csv").write_text(folder.read_text())
    assert (output / "old.csv").exists()
    assert (output / "kept.csv").read_text() == "before"
    with staged(output) as folder:
        (folder / "kept.csv").write_text("now")
        (folder / "README.md").write_text("# Results\n")
    assert {path.name for path in output.iterdir()} == {"training_step.json", "kept.csv", "foreign.md", "README.md"}
    assert (output / "kept.csv").read_text() == "now"
    assert list(tmp_path.iterdir()) == [output]


def test_workers_have_one_thread_and_the_parent_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with workers(1) as mapper:
        names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
        assert list(mapper(os.getenv, names)) == ["1"] * 3
        assert list(mapper(eval, ["__import__('torch').get_num_threads()"])) == [1]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_worker_that_was_ended_is_one_line(
    folders: Folders, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MemoryExhaustedError, match=MEMORY_LINE), workers(2) as mapper:
        list(mapper(os._exit, [9]))
    with pytest.raises(MemoryExhaustedError, match="close other programs"), workers(1):
        raise MemoryError
    with pytest.raises(RuntimeError, match="another"), workers(1):
        raise RuntimeError("another")

    def end(*_: object) -> None:
        raise MemoryExhaustedError(MEMORY_LINE)

    monkeypatch.setattr(evaluate, "evaluate", end)
    assert folders.run() == 5
    assert capsys.readouterr().err == f"evaluate: {MEMORY_LINE}\n"


@pytest.mark.ci
def test_processes_give_what_one_gives() -> None:
    pairs = [Pair(str(seed), slice_of(seed), slice_of(seed + 5), slice_of(seed)) for seed in range(2)]
    table = trivial_rows("maximum", "MSVD")
    alone = measure_rows(table, pairs, map)
    with workers(2) as mapper:
        shared_out = measure_rows(table, pairs, mapper)
    assert list(alone) == list(shared_out) == ["maximum", "MSVD"]
    for name in alone:
        for one, other in zip(alone[name], shared_out[name], strict=True):
            assert (one.fused == other.fused).all()
            assert one.scores == other.scores

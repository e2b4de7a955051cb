"""The baselines on small images: their forms, borders, and weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from cspadn.errors import ModelError
from training.baselines import METHODS, TRAINED
from training.baselines.form import Method
from training.baselines.ifcnn import IFCNN
from training.baselines.networks import as_method
from training.baselines.tfnet import TFNet, tfnet

SIZES = [(1, 1), (1, 6), (5, 1), (7, 11), (33, 32)]


SELECTIVE = ["average", "maximum", "Laplacian", "MSVD"]  # of two equal sources nothing is lost


def _random_pair(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    pet, mri = np.random.default_rng(5).random((2, *size))
    return pet, mri


@pytest.fixture(scope="session")
def methods(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Method]:
    """Return all baselines; trained networks have random weights."""
    torch.manual_seed(4)
    weights = tmp_path_factory.mktemp("weights") / "tfnet.safetensors"
    safetensors.torch.save_file(TFNet().state_dict(), weights)
    return {**METHODS, "IFCNN": as_method(IFCNN().eval()), "TFNet": tfnet(weights)}


ALL = [*METHODS, *TRAINED]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ALL)
def test_every_method_has_one_form(methods: dict[str, Method], name: str, size: tuple[int, int]) -> None:
    pet, mri = _random_pair(size)
    before = pet.copy(), mri.copy()
    fused = methods[name](pet, mri)
    assert fused.shape == size
    assert fused.dtype == np.float64
    assert np.isfinite(fused).all()
    assert fused.min() >= 0
    assert fused.max() <= 1
    assert (pet == before[0]).all()
    assert (mri == before[1]).all()


@pytest.mark.parametrize("name", ALL)
def test_sources_of_float32_or_turned_round_are_fused_alike(methods: dict[str, Method], name: str) -> None:
    pet, mri = _random_pair((12, 10))
    single = methods[name](pet.astype(np.float32), mri.astype(np.float32))
    assert single == pytest.approx(methods[name](pet, mri), abs=1e-4)
    assert (methods[name](pet[::-1], mri[::-1]) == methods[name](pet[::-1].copy(), mri[::-1].copy())).all()


@pytest.mark.parametrize("shapes", [((8, 8), (8, 9)), ((8, 8, 3), (8, 8, 3)), ((0, 4), (0, 4))], ids=str)
@pytest.mark.parametrize("name", ALL)
def test_what_is_no_pair_is_refused(methods: dict[str, Method], name: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match=r"PET has the shape .* MRI .* must be \(H, W\) and of the same size\.$"):
        methods[name](*(np.zeros(shape) for shape in shapes))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SELECTIVE)
def test_identical_sources_give_themselves(name: str, size: tuple[int, int]) -> None:
    image, _ = _random_pair(size)
    assert METHODS[name](image, image) == pytest.approx(image, abs=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_black_stays_black(name: str) -> None:
    assert (METHODS[name](np.zeros((9, 12)), np.zeros((9, 12))) == 0).all()


def test_trivial_methods() -> None:
    pet, mri = np.array([[0.2, 0.8]]), np.array([[0.6, 0.4]])
    values = {name: METHODS[name](pet, mri).tolist() for name in ("maximum", "MRI only", "PET only")}
    assert values == {"maximum": [[0.6, 0.8]], "MRI only": [[0.6, 0.4]], "PET only": [[0.2, 0.8]]}
    assert METHODS["average"](pet, mri) == pytest.approx(np.array([[0.4, 0.6]]))


def test_laplacian_of_flat_sources_is_the_brighter_one() -> None:
    assert METHODS["Laplacian"](np.full((13, 22), 0.3), np.full((13, 22), 0.6)) == pytest.approx(0.6)


def test_gtf_keeps_an_edge_of_the_mri_on_the_level_of_the_pet() -> None:
    pet, mri = np.full((20, 4), 0.5), np.full((20, 4), 0.1)
    mri[:, 2:] = 0.3
    fused = METHODS["GTF"](pet, mri)
    assert np.diff(fused, axis=1)[:, 1] == pytest.approx(0.2, abs=0.002)
    assert fused.mean() == pytest.approx(0.5)


def test_tfnet_layers_are_the_published() -> None:
    network = TFNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_360_274
    assert all(name.endswith(("weight", "bias")) for name in network.state_dict())


def test_tfnet_streams_are_separate_and_skipped_to_the_end() -> None:
    sources = torch.rand(1, 2, 8, 8, requires_grad=True)
    network = TFNet()
    seen = network.pet_stream(sources[:, :1]).sum() + 0 * sources.sum()
    (gradient,) = torch.autograd.grad(seen, sources)
    assert gradient[:, 0].abs().sum() > 0
    assert gradient[:, 1].abs().sum() == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 7), (17, 30), (64, 64)])
def test_tfnet_takes_any_size(size: tuple[int, int]) -> None:
    sources = torch.rand(2, 2, *size) * 2 - 1
    with torch.inference_mode():
        fused = TFNet()(sources)
    assert fused.shape == (2, 1, *size)
    assert fused.abs().max() <= 1


def test_tfnet_repeats_the_border_up_to_a_multiple_of_four() -> None:
    network = TFNet().eval()
    sources = torch.rand(1, 2, 6, 8)
    padded = torch.cat([sources, sources[:, :, -1:], sources[:, :, -1:]], dim=2)
    with torch.inference_mode():
        assert torch.equal(network(sources), network(padded)[:, :, :6])


def test_tfnet_weights_may_be_halves(tmp_path: Path) -> None:
    network = TFNet()
    for name, dtype in (("single", torch.float32), ("half", torch.float16)):
        tensors = {key: tensor.to(dtype) for key, tensor in network.state_dict().items()}
        safetensors.torch.save_file(tensors, tmp_path / f"{name}.safetensors")
    pair = _random_pair((12, 9))
    single, half = (tfnet(tmp_path / f"{name}.safetensors")(*pair) for name in ("single", "half"))
    assert half == pytest.approx(single, abs=0.01)


def _damaged_tfnet(kind: str) -> bytes:
    tensors = TFNet().state_dict()
    name = "restore.1.weight"
    if kind == "shape":
        tensors[name] = tensors[name][:, :10].contiguous()
    elif kind == "name":
        del tensors[name]
    else:
        tensors[name] = tensors[name] * np.nan
    return safetensors.torch.save(tensors)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("shape", "not those of TFNet"), ("name", "not those of TFNet"), ("value", "not numbers")],
)
def test_damaged_weights_of_tfnet_are_refused(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(_damaged_tfnet(kind))
    with pytest.raises(ModelError, match=message):
        tfnet(path)


@pytest.mark.parametrize("name", TRAINED)
def test_files_that_are_not_weights_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        TRAINED[name](tmp_path / "missing")
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(ModelError, match="is not"):
        TRAINED[name](tmp_path / "text")


def test_ifcnn_takes_the_greater_feature_of_any_number_of_sources() -> None:
    torch.manual_seed(0)
    network = IFCNN().eval()
    pet, mri = torch.rand(2, 1, 1, 9, 8)
    with torch.inference_mode():
        assert torch.equal(network(torch.cat([pet, mri], dim=1)), network(torch.cat([mri, pet, mri], dim=1)))
    assert sum(parameter.numel() for name, parameter in network.named_parameters() if "bn" not in name) == 83_331

"""The network made ready for fusing gives what the plain one gives: noise, heads in a black slice, all attention variants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from cspadn.inference import FusionNetwork
from cspadn.network import ATTENTION, CSpADN, NetworkConfig
from cspadn.weights import load_model

TOLERANCE = 2e-5  # of [-1, 1]: 1e-5 of the range


def network_of(attention: str, seed: int = 0) -> CSpADN:
    """A network whose attention and batch norms matter: fresh ones leave both without effect."""
    torch.manual_seed(seed)
    network = CSpADN(NetworkConfig(attention=attention)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith(("alpha", "beta")):
            parameter.data.fill_(0.8)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return network


def black(*shape: int) -> torch.Tensor:
    return torch.full(shape, -1.0)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def _head(rows: slice, columns: slice) -> torch.Tensor:
    sources = black(2, 2, 90, 101)
    sources[:, :, rows, columns] = noise(2, 2, 90, 101)[:, :, rows, columns]
    sources[1, :, :, : columns.start + 5] = -1  # the two slices differ in what is black
    return sources


SOURCES = {
    "noise": noise(2, 2, 61, 73),
    "head": _head(slice(30, 62), slice(25, 70)),
    "at two borders": _head(slice(0, 40), slice(60, 101)),
    "all rows": _head(slice(0, 90), slice(40, 60)),
    "one pixel": _head(slice(44, 45), slice(50, 56)),
    "one line": noise(1, 2, 1, 33),
    "one column": noise(1, 2, 33, 1),
}


def _difference(network: CSpADN, sources: torch.Tensor) -> float:
    """The greatest, where something is seen; elsewhere the result is black."""
    ready = FusionNetwork(network)(sources)
    with torch.inference_mode():
        plain = network(sources)
    seen = (sources > -1).any(dim=1, keepdim=True)
    assert ready.shape == plain.shape
    assert (ready[~seen] == -1).all()
    return float((ready - plain)[seen].abs().max())


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("name", SOURCES)
def test_it_equals_the_plain_network(attention: str, name: str) -> None:
    assert _difference(network_of(attention), SOURCES[name]) <= TOLERANCE


@pytest.mark.parametrize("model", ["cspadn", "cspadn-paper"])
@pytest.mark.parametrize("name", ["noise", "head", "at two borders"])
def test_the_shipped_models_are_equal_too(model: str, name: str) -> None:
    assert _difference(load_model(model).network, SOURCES[name]) <= TOLERANCE


def test_the_black_around_a_head_matters() -> None:
    """The comparison would see it if what is left out were forgotten: a crop alone has another result."""
    network, sources = network_of("both"), SOURCES["head"]
    crop = sources[:1, :, 21:71, 16:79]
    whole, alone = (FusionNetwork(network)(each) for each in (sources[:1], crop))
    assert (whole[:, :, 21:71, 16:79] - alone).abs().max() > 20 * TOLERANCE


def test_large_logits_do_not_overflow() -> None:
    network = network_of("spatial")
    network.attention.query.weight.data *= 300
    network.attention.key.weight.data *= 300
    fused = FusionNetwork(network)(SOURCES["head"])
    assert torch.isfinite(fused).all()
    assert _difference(network, SOURCES["noise"]) <= 1e-3  # of logits of thousands, float32 keeps that much


def test_black_slices_cost_nothing(monkeypatch) -> None:
    ready = FusionNetwork(network_of("both"))
    monkeypatch.setattr(ready.encoder, "forward", lambda _: 1 / 0)
    assert (ready(black(3, 2, 40, 50)) == -1).all()


def test_only_the_crop_is_computed(monkeypatch) -> None:
    ready = FusionNetwork(network_of("both"))
    shapes: list[tuple[int, ...]] = []
    encode = ready.encoder.forward

    def recorded(sources: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(sources.shape))
        return encode(sources)

    monkeypatch.setattr(ready.encoder, "forward", recorded)
    ready(SOURCES["head"])
    assert shapes == [(2, 2, 32 + 2 * 9, 45 + 2 * 9)]


def test_the_network_it_was_made_of_is_as_it_was() -> None:
    network = network_of("both")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    FusionNetwork(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_slices_of_the_real_volume(shared: Path) -> None:
    """Each sixteenth; the background of this head is black, its borders are not straight."""
    from cspadn.pair import Pair
    from cspadn.settings import FusionSettings

    folder = shared / "data" / "volumes" / "aanlib"
    pet, mri = (sitk.ReadImage(str(folder / f"{name}_axial.nii.gz")) for name in ("PET", "MRI"))
    pair, network = Pair.of(pet, mri, FusionSettings()), load_model().network
    worst = max(
        _difference(network, torch.from_numpy(pair.slab(i, i + 1).sources) * 2 - 1) for i in np.arange(4, pair.slices, 16)
    )
    assert worst <= TOLERANCE

"""The fast network gives the result of the plain one: on noise, on heads in a black slice, with all attention variants."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from cspadn.imaging.alignment import Pair
from cspadn.inference import criss_cross, fast_network, feature_maps
from cspadn.inference.criss_cross import CrissCrossSums
from cspadn.inference.fast_network import FusionNetwork
from cspadn.inference.winograd import WinogradConv2d
from cspadn.models.cspadn import ATTENTION, CSpADN, NetworkConfig
from cspadn.models.weights import load_model
from cspadn.settings import MODELS, FusionSettings
from training.benchmark import make_straightforward

TOLERANCE = 2e-5  # of [-1, 1]: 1e-5 of the range


def network_of(attention: str, seed: int = 0) -> CSpADN:
    """Return a network with effective attention and batch normalisation: a new network has neither."""
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


def _difference(network: CSpADN, sources: torch.Tensor, reference: CSpADN | None = None) -> float:
    """Return the greatest difference where a source is not black; elsewhere the result is black."""
    ready = FusionNetwork(network)(sources)
    with torch.inference_mode():
        plain = (reference or network)(sources)
    seen = (sources > -1).any(dim=1, keepdim=True)
    assert ready.shape == plain.shape
    assert (ready[~seen] == -1).all()
    return float((ready - plain)[seen].abs().max())


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("name", SOURCES)
def test_it_equals_the_plain_network(attention: str, name: str) -> None:
    assert _difference(network_of(attention), SOURCES[name]) <= TOLERANCE


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["noise", "head", "at two borders"])
def test_the_shipped_models_are_equal_too(model: str, name: str) -> None:
    assert _difference(load_model(model).network, SOURCES[name]) <= TOLERANCE


def test_the_black_around_a_head_matters() -> None:
    """The comparison would detect it if the omitted background were ignored: a crop alone gives another result."""
    network, sources = network_of("both"), SOURCES["head"]
    crop = sources[:1, :, 21:71, 16:79]
    whole, alone = (FusionNetwork(network)(each) for each in (sources[:1], crop))
    assert (whole[:, :, 21:71, 16:79] - alone).abs().max() > 20 * TOLERANCE


@pytest.mark.parametrize(("factor", "tolerance"), [(3, 1e-4), (300, 1e-3)])
def test_large_logits_do_not_overflow(factor: float, tolerance: float) -> None:
    network = network_of("spatial")
    network.attention.query.weight.data *= factor
    network.attention.key.weight.data *= factor
    fused = FusionNetwork(network)(SOURCES["head"])
    assert torch.isfinite(fused).all()
    for name in ("noise", "head", "at two borders"):
        assert _difference(network, SOURCES[name]) <= tolerance  # of logits of thousands, float32 keeps that much


def test_a_black_that_is_nowhere_does_not_count() -> None:
    """The logit of a background pixel may be far above all others: after subtracting it, none would be left."""
    network = network_of("spatial")
    with torch.inference_mode():
        outside = FusionNetwork(network).black_features
        white = network.encoder(torch.ones(1, 2, 9, 9))[0, :, 4, 4]
        apart = torch.nn.functional.normalize(outside - white, dim=0)
    network.attention.query.weight.data.zero_()
    network.attention.query.bias.data.fill_(10)
    network.attention.key.weight.data[:, :, 0, 0] = 20 * apart / (outside - white).norm()
    assert _difference(network, torch.ones(1, 2, 30, 40)) <= TOLERANCE


def test_small_logits_are_exponentiated_as_they_are(monkeypatch) -> None:
    """The logits are those of the shipped model; a pass for their maximum would not change the result."""
    monkeypatch.setattr(CrissCrossSums, "_maxima", lambda _: 1 / 0)
    assert _difference(load_model().network, SOURCES["noise"]) <= TOLERANCE


@pytest.mark.parametrize("affinities", [500, 2**19])
def test_what_memory_held_before_does_not_matter(affinities: int, monkeypatch) -> None:
    """Memory that is reused may hold anything, also where no result is needed."""
    monkeypatch.setattr(criss_cross, "_CPU_AFFINITIES", affinities)
    flat = feature_maps.Workspace.flat
    monkeypatch.setattr(feature_maps.Workspace, "flat", lambda *given: flat(*given).fill_(float("nan")))
    for name in ("noise", "head", "at two borders"):
        assert _difference(network_of("both"), SOURCES[name]) <= TOLERANCE


def test_black_slices_cost_nothing(monkeypatch) -> None:
    ready = FusionNetwork(network_of("both"))
    monkeypatch.setattr(ready, "_encode", lambda *_: 1 / 0)
    assert (ready(black(3, 2, 40, 50)) == -1).all()


def test_only_what_is_near_the_head_is_computed(monkeypatch) -> None:
    """Each layer of the encoder sees one pixel farther than the one before; the decoder ends with the head alone."""
    sources = black(1, 2, 220, 220)
    sources[..., 96:112, 96:128] = noise(1, 2, 16, 32)
    rows, columns = _count(monkeypatch)
    network = network_of("both")
    assert _difference(network, sources) <= TOLERANCE
    encoder, decoder = rows[:9], rows[9:]
    assert encoder == sorted(encoder)
    assert encoder[0] < encoder[-1] <= 16 + 2 * 16
    assert decoder == sorted(decoder, reverse=True)
    assert decoder[-1] == 16
    assert set(columns) == {32 + 2 * 16}  # the crop's, in multiples of 16


def _count(monkeypatch) -> tuple[list[int], list[int]]:
    """Count the rows and the columns that each layer computes."""
    rows: list[int] = []
    columns: list[int] = []

    def counted(layer, source, target, bands, *rest) -> None:
        rows.append(sum(map(len, bands)))
        columns.append(target.shape[-1] - 2)
        feature_maps.convolve(layer, source, target, bands, *rest)

    monkeypatch.setattr(fast_network, "convolve", counted)
    return rows, columns


@pytest.mark.parametrize("decoder", [(8,), (66, 64, 12, 12, 12, 12, 12, 12)], ids=["sees less far", "sees farther"])
def test_other_depths_are_equal_too(decoder: tuple[int, ...]) -> None:
    """The encoder reaches five places; wide layers take Winograd's way."""
    torch.manual_seed(0)
    network = CSpADN(NetworkConfig(common_channels=40, dense_modules=2, decoder_channels=decoder)).eval()
    network.attention.spatial.alpha.data.fill_(0.8)
    for name in ("noise", "head", "at two borders", "one pixel"):
        assert _difference(network, SOURCES[name]) <= TOLERANCE


def test_heads_apart_are_equal_too() -> None:
    sources = black(1, 2, 120, 90)
    sources[:, :, 5:20, 8:30] = noise(1, 2, 15, 22)
    sources[:, :, 90:118, 50:90] = noise(1, 2, 28, 40)
    assert _difference(network_of("both"), sources) <= TOLERANCE


@pytest.mark.parametrize("affinities", [500, 4000])
def test_few_affinities_at_a_time_are_equal_too(affinities: int, monkeypatch) -> None:
    """For large slices, there may be memory only for one line or a part of it."""
    monkeypatch.setattr(criss_cross, "_CPU_AFFINITIES", affinities)
    for name in ("noise", "head"):
        assert _difference(network_of("both"), SOURCES[name]) <= TOLERANCE


def test_all_lines_at_once_as_on_a_gpu(monkeypatch) -> None:
    monkeypatch.setattr(criss_cross, "_CPU_AFFINITIES", criss_cross._GPU_AFFINITIES)
    monkeypatch.setattr(fast_network, "_WIDE_ROWS", fast_network._GPU_ROWS)
    monkeypatch.setattr(fast_network, "_NARROW_ROWS", fast_network._GPU_ROWS)
    for name in SOURCES:
        assert _difference(network_of("both"), SOURCES[name]) <= TOLERANCE


def test_half_precision_is_near() -> None:
    """Half precision is for GPUs; the documented bound is 0.003 of the range. Sums over long lines do not overflow."""
    network = load_model().network
    long = torch.ones(1, 2, 12, 2600)
    exact, half = FusionNetwork(network), FusionNetwork(network).half()
    for sources in (*(SOURCES[name] for name in ("noise", "head", "at two borders")), long):
        assert (exact(sources) - half(sources)).abs().max() <= 2 * 0.003


@pytest.mark.parametrize("columns", [2, 6, 34])
def test_winograds_way_is_the_plain_convolution(columns: int) -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(5, 7, 3)
    image = torch.randn(2, 5, 9, columns + 2)
    with torch.inference_mode():
        torch.testing.assert_close(WinogradConv2d(conv)(image), conv(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [64, 80])
def test_winograd_rounds_about_as_much_as_torch(channels: int) -> None:
    torch.manual_seed(0)
    conv, image = torch.nn.Conv2d(channels, channels, 3), torch.randn(1, channels, 66, 66)
    with torch.inference_mode():
        exact = torch.nn.functional.conv2d(image.double(), conv.weight.double(), conv.bias.double())
        errors = [float((each(image) - exact).abs().max()) for each in (WinogradConv2d(conv), conv)]
    assert errors[0] <= 4 * errors[1]


def test_the_network_it_was_made_of_is_as_it_was() -> None:
    network = network_of("both")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    FusionNetwork(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


PAIRS = {
    "atlas": ("aanlib/PET_axial.nii.gz", "aanlib/MRI_axial.nii.gz"),
    "MNI, one subject": ("mni/PET.nii.gz", "mni/single_subj_T1.nii.gz"),
    "MNI, template": ("mni/CN_PET_TEMPLATE.nii.gz", "mni/single_subj_T1.nii.gz"),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_slices_of_real_volumes(shared: Path, pair: str) -> None:
    """Return some slices of heads whose background is black or speckled, with borders that are not straight."""
    assert _worst_of_volume(shared, pair, 16) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
def test_every_slice_of_real_volumes(shared: Path, pair: str) -> None:
    assert _worst_of_volume(shared, pair, 1) <= TOLERANCE


def _worst_of_volume(shared: Path, name: str, step: int) -> float:
    """Compare with the straightforward implementation, which the benchmarks also time."""
    images = (sitk.ReadImage(str(shared / "data" / "volumes" / file)) for file in PAIRS[name])
    pair, network = Pair.of(*images, FusionSettings()), load_model().network
    plain = make_straightforward(copy.deepcopy(network)).eval()
    slices = (torch.from_numpy(pair.slab(i, i + 1).sources) * 2 - 1 for i in range(step // 4, pair.slices, step))
    return max(_difference(network, sources, plain) for sources in slices if (sources > -1).any())

"""The network matches the paper, and its attention matches the equations exactly."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import reference_attention
from cspadn.models.attention import ChannelAttention, CrissCrossAttention
from cspadn.models.cspadn import CSpADN, NetworkConfig, ReflectConv2d

SIZES = [(7, 11), (13, 5), (9, 9), (1, 6), (5, 1), (1, 1)]  # odd, non-square, degenerate
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def _excited(module: nn.Module) -> nn.Module:
    """Set weights that give an uneven softmax, and scales other than 0."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
        for name in ("alpha", "beta"):
            if hasattr(module, name):
                getattr(module, name).fill_(0.7)
    return module


def _modules(channels: int = 12):
    return [
        (_excited(CrissCrossAttention(channels, 5)), reference_attention.criss_cross_attention),
        (_excited(ChannelAttention(channels)), reference_attention.channel_attention),
    ]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [0, 1], ids=["criss-cross", "channel"])
def test_attention_agrees_with_the_equations(kind: int, size: tuple[int, int], dtype: torch.dtype) -> None:
    module, reference = _modules()[kind]
    features = torch.randn(2, 12, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = torch.stack([reference(module.double(), image) for image in features])
    assert (expected - features).abs().max() > 0.1, "the attention must do something"
    result = module.to(dtype)(features.to(dtype))
    assert result.dtype == dtype
    torch.testing.assert_close(result.double(), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("kind", [0, 1], ids=["criss-cross", "channel"])
def test_attention_survives_large_logits(kind: int) -> None:
    module, _ = _modules()[kind]
    result = module(torch.full((1, 12, 4, 6), 300.0))
    assert result.isfinite().all()


def test_attention_starts_at_the_identity() -> None:
    features = torch.randn(1, 12, 6, 5)
    for module in (CrissCrossAttention(12, 5), ChannelAttention(12)):
        assert torch.equal(module(features), features)


@pytest.mark.parametrize("kind", [0, 1], ids=["criss-cross", "channel"])
def test_gradients_of_attention(kind: int) -> None:
    module, _ = _modules(channels=3)[kind]
    features = torch.randn(1, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module.double(), (features,))


def test_layers_are_the_papers() -> None:
    network = CSpADN()
    assert sum(parameter.numel() for parameter in network.parameters()) == 187_543  # of the published layer widths
    assert [layer.out_channels for layer in network.decoder if isinstance(layer, ReflectConv2d)] == [80, 64, 32, 16, 1]
    assert [module[0].in_channels for module in network.encoder.dense] == [16, 32, 48, 64]
    assert not any(isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)) for layer in network.modules())
    assert network.attention.spatial.alpha == 0
    assert network.attention.channel.beta == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (17, 31), (64, 64)])
def test_any_size_keeps_its_size_and_range(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        fused = CSpADN().eval()(torch.rand(2, 2, *size) * 2 - 1)
    assert fused.shape == (2, 1, *size)
    assert fused.abs().max() <= 1


def test_padding_reflects() -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4)
    layer = ReflectConv2d(1, 1)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
        layer.weight[0, 0, 1, 0] = 1  # takes the left neighbour
    assert layer(image)[0, 0, :, 0].tolist() == image[0, 0, :, 1].tolist()


def _seeded(attention: str) -> CSpADN:
    torch.manual_seed(5)
    return CSpADN(NetworkConfig(attention=attention))


@pytest.mark.parametrize(("attention", "modules"), [("both", 2), ("spatial", 1), ("channel", 1), ("none", 0)])
def test_each_attention_module_can_be_left_out(attention: str, modules: int) -> None:
    network = _seeded(attention)
    assert sum(isinstance(module, (CrissCrossAttention, ChannelAttention)) for module in network.modules()) == modules
    for part in ("encoder", "decoder"):  # the ablation compares networks that start alike
        expected, state = (getattr(net, part).state_dict() for net in (_seeded("both"), network))
        assert all(torch.equal(expected[name], state[name]) for name in expected)
    assert network(torch.zeros(1, 2, 5, 7)).shape == (1, 1, 5, 7)


def test_black_has_a_slope_in_mixed_precision() -> None:
    network = _seeded("none")
    with torch.no_grad():
        network.decoder[-2].bias.fill_(-4.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fused = network(torch.zeros(1, 2, 8, 8))
    fused.sum().backward()
    assert fused.dtype == torch.float32
    assert fused.max() < -0.99
    assert network.decoder[-2].bias.grad.abs() > 1e-3


def test_unknown_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="True") as caught:
        NetworkConfig(attention=True)
    assert caught.value.args[0].identifier == "model-attention-unknown"


def test_config_survives_json() -> None:
    config = NetworkConfig(growth_channels=4, decoder_channels=(8, 4), attention="none")
    assert NetworkConfig.from_dict(config.to_dict()) == config

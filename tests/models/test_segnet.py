"""SegNet's sizes, and its packed positions."""

import importlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.models.segnet import SegNet, SegNetBasic, bayesian_segnet, bayesian_segnet_basic

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
Builder = type[SegNet] | type[SegNetBasic]


def sizes_of_convs(model: nn.Module, image: Tensor) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    for part in model.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[1:])))
    assert model(image)["logits"].shape == (1, 11, 360, 480)
    return seen


@pytest.mark.parametrize("packed", [True, False])
def test_the_full_network_has_the_authors_sizes(packed: bool) -> None:
    with torch.device("meta"):
        seen = sizes_of_convs(SegNet(11, packed_indices=packed).eval(), torch.empty(1, 3, 360, 480))
    levels = [(360, 480), (180, 240), (90, 120), (45, 60), (23, 30)]
    encoder = [(64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3]
    decoder = [(512,) * 3, (512, 512, 256), (256, 256, 128), (128, 64), (64, 11)]
    down = [(c, *size) for channels, size in zip(encoder, levels, strict=True) for c in channels]
    up = [(c, *size) for channels, size in zip(decoder, reversed(levels), strict=True) for c in channels]
    assert seen == down + up


def test_the_basic_network_has_the_authors_sizes() -> None:
    with torch.device("meta"):
        seen = sizes_of_convs(SegNetBasic(11).eval(), torch.empty(1, 3, 360, 480))
    levels = [(360, 480), (180, 240), (90, 120), (45, 60)]
    assert seen == [(64, *size) for size in levels + levels[::-1]] + [(11, 360, 480)]


@pytest.mark.parametrize("builder", [SegNet, SegNetBasic])
@pytest.mark.parametrize("size", [(1, 1), (33, 47), (45, 60)], ids=str)
def test_packed_positions_change_nothing(builder: Builder, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    packed, plain = builder(3, width=4).eval(), builder(3, width=4, packed_indices=False).eval()
    plain.load_state_dict(packed.state_dict())
    image = torch.randn(2, 3, *size)
    assert torch.equal(packed(image)["logits"], plain(image)["logits"])


def test_packed_positions_are_used_in_eval_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[torch.dtype] = []
    unpool = F.max_unpool2d
    monkeypatch.setattr(F, "max_unpool2d", lambda x, i, *a, **k: (kept.append(i.dtype), unpool(x, i, *a, **k))[1])
    image = torch.randn(2, 3, 32, 32)
    for packed, training, expected in ((True, True, 5), (True, False, 0), (False, True, 5), (False, False, 5)):
        kept.clear()
        SegNet(3, width=2, packed_indices=packed).train(training)(image)
        assert kept == [torch.int64] * expected


def test_bytes_kept_between_encoder_and_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of CamVid's images at full width, by hand: the windows of five poolings, and the values of U-Net's four maps."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark = importlib.import_module("unpooling")
    measured = benchmark.measure(device="meta")
    windows = 64 * 180 * 240 + 128 * 90 * 120 + 256 * 45 * 60 + 512 * 23 * 30 + 512 * 12 * 15
    values = 64 * 368 * 480 + 128 * 184 * 240 + 256 * 92 * 120 + 512 * 46 * 60
    assert [len(tensors) for tensors in measured.values()] == [5, 5, 4]
    assert [benchmark.in_memory(tensors) for tensors in measured.values()] == [windows // 4, windows * 8, values * 4]
    assert windows * 8 == 32 * (windows // 4)
    page = (BENCHMARKS / "unpooling.md").read_text(encoding="utf-8")
    assert "\n".join(benchmark.table(measured)) in page


def test_bytes_kept_are_those_of_real_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark = importlib.import_module("unpooling")
    real, meta = (benchmark.measure(width=4, size=(45, 60), device=device) for device in ("cpu", "meta"))
    found = [benchmark.in_memory(tensors) for tensors in real.values()]
    assert found == [benchmark.in_memory(tensors) for tensors in meta.values()]
    positions = [4 * 23 * 30, 8 * 12 * 15, 16 * 6 * 8, 32 * 3 * 4, 32 * 2 * 2]
    assert found[:2] == [sum(-(-n // 4) for n in positions), 8 * sum(positions)]


def test_only_the_full_network_has_relus_in_its_decoder() -> None:
    counts = [
        [sum(isinstance(part, nn.ReLU) for part in half.modules()) for half in (model.encoder, model.decoder)]
        for model in (SegNet(2, width=1), SegNetBasic(2, width=1))
    ]
    assert counts == [[13, 12], [4, 0]]


def test_batch_norms_are_those_of_the_authors_caffe() -> None:
    for model, count in ((SegNet(2, width=1), 25), (SegNetBasic(2, width=1), 8)):
        norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
        assert len(norms) == count
        assert {norm.eps for norm in norms} == {1e-9}
        assert {round(value, 9) for norm in norms for value in norm.bias.tolist()} == {0.001}


def test_the_basic_network_normalises_across_channels() -> None:
    """Each value over (1 + 1e-4 / 5 times the squares of the five channels around it) ** 0.75."""
    model = SegNetBasic(2, width=1).eval()
    seen: list[Tensor] = []
    model.encoder[0][0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    image = 255 * torch.rand(1, 3, 4, 4)
    model(image)
    expected = image / (1 + 1e-4 / 5 * image.square().sum(dim=1, keepdim=True)) ** 0.75  # three channels: all are near
    torch.testing.assert_close(seen[0], expected, atol=0, rtol=1e-5)


@pytest.mark.parametrize(
    ("builder", "after"),
    [
        (bayesian_segnet, [(64, 4), (128, 2), (128, 1), (128, 2), (64, 4), (32, 8)]),
        (bayesian_segnet_basic, [(16, 4), (16, 2), (16, 4), (16, 8)]),
    ],
)
def test_dropout_stands_where_the_authors_put_it(builder: Builder, after: list[tuple[int, int]]) -> None:
    """Channels and rows, of 32, of what it drops from: the inner poolings, then the inner decoders."""
    model, seen = builder(3, width=16).train(), []
    model.dropout.register_forward_hook(lambda _, __, out: seen.append((out.shape[1], out.shape[2])))
    model(torch.randn(2, 3, 32, 32))
    assert seen == after
    assert model.dropout.p == 0.5

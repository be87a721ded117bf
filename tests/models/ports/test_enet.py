"""davidtvs/PyTorch-ENet: recorded from its code at commit e17d404, and built anew here, function by function.

"of_2019" is its `models/enet.py` before commit 7cd31d4, which took a ReLU out of each upsampling bottleneck.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typer.testing import CliRunner

import perpixel
from perpixel.bundle.info import read_info
from perpixel.cli import app
from perpixel.core.errors import UserError
from perpixel.labels import CAMVID, CITYSCAPES, Taxonomy
from perpixel.models.enet import ENet
from perpixel.models.ports import port, read_port

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import RECORDED, difference, fill, shapes_in

SOURCE = "davidtvs/PyTorch-ENet"
NEW, OLD = "davidtvs_enet_20", "davidtvs_enet_20_of_2019"
DILATIONS = {"dilated2_2": 2, "dilated2_4": 4, "dilated2_6": 8, "dilated2_8": 16}
DILATIONS |= {"dilated3_1": 2, "dilated3_3": 4, "dilated3_5": 8, "dilated3_7": 16}
STAGE1 = ("regular1_1", "regular1_2", "regular1_3", "regular1_4")
STAGES23 = (
    *("regular2_1", "dilated2_2", "asymmetric2_3", "dilated2_4", "regular2_5", "dilated2_6", "asymmetric2_7"),
    *("dilated2_8", "regular3_0", "dilated3_1", "asymmetric3_2", "dilated3_3", "regular3_4", "dilated3_5"),
    *("asymmetric3_6", "dilated3_7"),
)


class Theirs(nn.Module):
    """Their network in eval mode, from their state dict alone: what each of its parts is called there, it is here."""

    def __init__(self, state: dict[str, Tensor], old: bool = False) -> None:
        super().__init__()
        self.state, self.old = state, old

    def conv(self, name: str, x: Tensor, **how: object) -> Tensor:
        return F.conv2d(x, self.state[f"{name}.weight"], **how)

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            self.state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        scale = weight / torch.sqrt(var + 1e-5)
        return x * scale[:, None, None] + (bias - mean * scale)[:, None, None]

    def act(self, name: str, x: Tensor) -> Tensor:
        """One slope for all channels in the encoder, none in stages 4 and 5."""
        slope = 0.0 if name.split(".")[0][-3:] in ("4_0", "4_1", "4_2", "5_0", "5_1") else self.state[f"{name}.weight"]
        return torch.where(x > 0, x, slope * x)

    def unit(self, name: str, x: Tensor, first: int = 0, **how: object) -> Tensor:
        x = self.norm(f"{name}.{first + 1}", self.conv(f"{name}.{first}", x, **how))
        return self.act(f"{name}.{first + 2}", x)

    def regular(self, name: str, x: Tensor) -> Tensor:
        y = self.unit(f"{name}.ext_conv1", x)
        if name.startswith("asymmetric"):
            y = self.unit(f"{name}.ext_conv2", y, padding=(2, 0))
            y = self.unit(f"{name}.ext_conv2", y, first=3, padding=(0, 2))
        else:
            dilation = DILATIONS.get(name, 1)
            y = self.unit(f"{name}.ext_conv2", y, padding=dilation, dilation=dilation)
        return self.act(f"{name}.out_activation", x + self.unit(f"{name}.ext_conv3", y))

    def down(self, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled, where = F.max_pool2d(x, kernel_size=2, stride=2, return_indices=True)
        y = self.unit(f"{name}.ext_conv1", x, stride=2)
        y = self.unit(f"{name}.ext_conv3", self.unit(f"{name}.ext_conv2", y, padding=1))
        zeros = y.new_zeros(len(y), y.shape[1] - pooled.shape[1], *y.shape[2:])
        return self.act(f"{name}.out_activation", torch.cat([pooled, zeros], dim=1) + y), where

    def up(self, name: str, x: Tensor, where: Tensor) -> Tensor:
        shortcut = self.norm(f"{name}.main_conv1.1", self.conv(f"{name}.main_conv1.0", x))
        y = self.unit(f"{name}.ext_conv1", x)
        y = F.conv_transpose2d(y, self.state[f"{name}.ext_tconv1.weight"], stride=2)
        y = self.conv(f"{name}.ext_conv2.0", F.relu(self.norm(f"{name}.ext_tconv1_bnorm", y)))
        y = self.norm(f"{name}.ext_conv2.1", y)
        return F.relu(F.max_unpool2d(shortcut, where, kernel_size=2, stride=2) + (F.relu(y) if self.old else y))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        beside = F.max_pool2d(image, kernel_size=3, stride=2, padding=1)
        x = torch.cat([self.conv("initial_block.main_branch", image, stride=2, padding=1), beside], dim=1)
        x = self.act("initial_block.out_activation", self.norm("initial_block.batch_norm", x))
        x, where1 = self.down("downsample1_0", x)
        for name in STAGE1:
            x = self.regular(name, x)
        x, where2 = self.down("downsample2_0", x)
        for name in STAGES23:
            x = self.regular(name, x)
        x = self.up("upsample4_0", x, where2)
        x = self.regular("regular4_2", self.regular("regular4_1", x))
        x = self.regular("regular5_1", self.up("upsample5_0", x, where1))
        weight = self.state["transposed_conv.weight"]
        return {"logits": F.conv_transpose2d(x, weight, stride=2, padding=1, output_padding=1)}


def random_state(seed: int) -> dict[str, Tensor]:
    """Their keys; slopes from 0.05 to 0.5, and batch norms that do something."""
    generator = torch.Generator().manual_seed(seed)

    def number(key: str, shape: tuple[int, ...]) -> Tensor:
        if key.endswith("num_batches_tracked"):
            return torch.tensor(7)
        if len(shape) == 4:
            return torch.randn(shape, generator=generator) / np.sqrt(np.prod(shape[1:]))
        if shape == (1,):
            return 0.05 + 0.45 * torch.rand(shape, generator=generator)
        if key.endswith("running_var"):
            return 0.2 + torch.rand(shape, generator=generator)
        return (0.5 if key.endswith("weight") else 0) + 0.2 * torch.randn(shape, generator=generator)

    return {key: number(key, shape) for key, shape in shapes_in(NEW).items()}


def scale_of(name: str) -> float:
    """What its recorded logits are large by: weights that are made from their names let them grow to 1e8."""
    return float(np.load(RECORDED / f"{name}.npz")["logits"].std())


@pytest.mark.parametrize(("name", "options"), [(NEW, {}), (OLD, {"wiring": "davidtvs-2019"})])
def test_the_network_gives_the_recorded_logits(name: str, options: dict[str, str]) -> None:
    model = port(SOURCE, fill(shapes_in(name)), options=options)
    assert difference(name, model) < 1e-11 * scale_of(name)


@pytest.mark.parametrize("name", [NEW, OLD])
def test_our_reading_of_their_code_does_so_too(name: str) -> None:
    theirs = Theirs({key: tensor.double() for key, tensor in fill(shapes_in(name)).items()}, old=name == OLD)
    assert difference(name, theirs) < 1e-11 * scale_of(name)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("size", [(64, 96), (40, 72)])
@torch.no_grad()
def test_random_weights_give_what_their_code_as_read_here_gives(size: tuple[int, int], old: bool) -> None:
    state = random_state(seed=size[0])
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    expected = Theirs(state, old)(image)["logits"]
    assert 0.01 < expected.std() < 10
    found = port(SOURCE, state, options={"wiring": "davidtvs-2019"} if old else {})(image)["logits"]
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


@torch.no_grad()
def test_the_two_kinds_differ_as_do_the_authors_and_theirs() -> None:
    state, image = random_state(seed=3), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    new, old = (
        port(SOURCE, state, options={"wiring": wiring})(image)["logits"] for wiring in ("davidtvs", "davidtvs-2019")
    )
    assert (new - old).abs().max() > 0.01
    with pytest.raises(UserError, match="these are not the weights of a enet"):
        port(SOURCE, state, options={"wiring": "authors"})


def test_it_has_as_many_parameters_as_their_state_dict() -> None:
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    theirs = sum(int(np.prod(shape)) for key, shape in shapes_in(NEW).items() if not key.endswith(buffers))
    assert sum(p.numel() for p in ENet(20, wiring="davidtvs").parameters()) == theirs


def test_the_decoder_drops_channels_in_training_as_theirs_does() -> None:
    decoder = ENet(3, wiring="davidtvs").decoder
    assert [part.p for part in decoder.modules() if isinstance(part, nn.Dropout2d)] == [0.1] * 5
    up, x, kept = decoder.up5.eval(), torch.randn(1, 64, 4, 4), (torch.zeros(64, dtype=torch.uint8), (8, 8))
    up.dropout = nn.Dropout2d(1.0).train()
    with torch.no_grad():
        found = up(x, kept)
        expected = F.relu(up.shortcut(x))
    torch.testing.assert_close(found[..., ::2, ::2], expected)  # every maximum stood first in its window
    assert not found[..., 1::2, :].any() and not found[..., 1::2].any()


def test_an_unknown_wiring_is_refused() -> None:
    with pytest.raises(UserError, match=r'no wiring "davidtv"; it has authors, davidtvs, .* Did you mean "davidtvs"'):
        ENet(3, wiring="davidtv")


def test_classes_and_wiring_are_read_off_the_weights() -> None:
    found = read_port(SOURCE, {"epoch": 250, "state_dict": fill(shapes_in(NEW)), "miou": 0.5949})
    assert (found.num_classes, found.options, found.void) == (20, {"wiring": "davidtvs"}, 0)
    assert found.pixels.mean == (0.0, 0.0, 0.0) and found.pixels.std == (1.0, 1.0, 1.0) and not found.pixels.bgr


@torch.no_grad()
def test_cityscapes_without_what_is_not_labelled_which_comes_first() -> None:
    state, image = random_state(seed=4), torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = port(SOURCE, state, num_classes=19)(image)["logits"]
    torch.testing.assert_close(found, Theirs(state)(image)["logits"][:, 1:], atol=2e-6, rtol=0)


@torch.no_grad()
def test_camvid_without_it_where_it_comes_last() -> None:
    state, image = random_state(seed=5), torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    state["transposed_conv.weight"] = state["transposed_conv.weight"][:, :12].clone()
    found = read_port(SOURCE, state, num_classes=11)
    assert found.source.classes[11] == "camvid" and found.without == 11
    torch.testing.assert_close(found.model(image)["logits"], Theirs(state)(image)["logits"][:, :11], atol=2e-6, rtol=0)


def checkpoint(path: Path, state: dict[str, Tensor]) -> Path:
    """As their `utils.py` saves it."""
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    torch.save({"epoch": 250, "miou": 0.5, "state_dict": state, "optimizer": optimizer.state_dict()}, path)
    return path


@pytest.mark.parametrize(
    ("classes", "known", "names"),
    [(20, CITYSCAPES, ("void", *CITYSCAPES.names)), (12, CAMVID, (*CAMVID.names, "void"))],
)
@torch.no_grad()
def test_their_file_becomes_a_bundle_that_answers_as_they_do(
    classes: int, known: Taxonomy, names: tuple[str, ...], tmp_path: Path
) -> None:
    """With what is not labelled, and without; pixels are theirs: RGB divided by 255."""
    state = random_state(seed=8)
    state["transposed_conv.weight"] = state["transposed_conv.weight"][:, :classes].clone()
    file = checkpoint(tmp_path / "ENet", state)
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    logits = Theirs(state)(torch.from_numpy(image / 255).float().permute(2, 0, 1)[None])["logits"][0]
    labelled = [i for i, name in enumerate(names) if name != "void"]
    name = "cityscapes" if known is CITYSCAPES else "camvid"
    for asked, expected_names, expected in (([], names, logits), (["--classes", name], known.names, logits[labelled])):
        out = tmp_path / f"bundle{len(asked)}"
        words = ["convert", "weights", str(file), "--from", SOURCE, "--out", str(out), "--unsafe-pickle", *asked]
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        info = read_info(out)
        assert (info.network, info.options) == ("enet", {"wiring": "davidtvs"})
        assert Taxonomy.from_dict(info.taxonomy).names == expected_names
        found = perpixel.load(out, device="cpu").predict(image).probabilities
        np.testing.assert_allclose(found, expected.softmax(0), atol=2e-6)


def test_another_number_of_classes_leaves_the_scores_fresh() -> None:
    state = random_state(seed=6)
    own = port(SOURCE, state, num_classes=5).state_dict()
    assert own["decoder.score.weight"].shape == (16, 5, 3, 3)
    assert own["decoder.stage5.0.branch.7.weight"].equal(state["regular5_1.ext_conv3.1.weight"])


def test_what_is_not_theirs_is_refused() -> None:
    state = random_state(seed=7)
    with pytest.raises(UserError, match=r"missing: dilated2_2\.ext_conv2\.0\.weight$"):
        port(SOURCE, {k: v for k, v in state.items() if k != "dilated2_2.ext_conv2.0.weight"})
    with pytest.raises(UserError, match=r"unknown: regular2_2\.ext_conv2\.0\.weight$"):
        port(SOURCE, state | {"regular2_2.ext_conv2.0.weight": state["dilated2_2.ext_conv2.0.weight"]})
    with pytest.raises(UserError, match=r"unknown: regular5_1\.out_activation\.weight$"):  # a PReLU in the decoder
        port(SOURCE, state | {"regular5_1.out_activation.weight": torch.ones(1)})
    with pytest.raises(UserError, match=r'it has no "transposed_conv\.weight"'):
        port(SOURCE, {"conv1.weight": torch.ones(1)})

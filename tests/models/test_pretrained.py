"""Pretrained weights without a network: those in the cache are taken, others refused at once. Nothing is downloaded."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file

import perpixel
from perpixel.core.errors import UserError
from perpixel.models import build
from perpixel.models.backbones import pretrained
from perpixel.models.backbones.pretrained import answers

PROGRAM = """
from perpixel.core.errors import UserError
from perpixel.models import build
try:
    build("fpn", 3, encoder="resnet18", pretrained=True)
except UserError as error:
    print(error)
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_newcomer_without_a_network_gets_one_line_and_no_retries(tmp_path: Path, closed_port: int) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.upper().startswith(("HF_", "XDG_", "HUGGING"))}
    endpoint = f"http://127.0.0.1:{closed_port}"
    package = str(Path(perpixel.__file__).parents[1])
    environment = kept | {"HOME": str(tmp_path), "HF_ENDPOINT": endpoint, "NO_PROXY": "*", "PYTHONPATH": package}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=True)
    cache = tmp_path / ".cache" / "huggingface" / "hub"
    assert done.stdout == (
        f"The pretrained weights of resnet18 could not be had: {endpoint} does not answer, and they are not in the "
        f"cache, {cache}. Connect to the network once, or use pretrained=False.\n"
    )
    assert "Retry" not in done.stderr


def cache_of(folder: Path, file: str) -> Path:
    """Where a file of resnet18's repository lies in a Hugging Face cache."""
    repository = folder / "models--timm--resnet18.a1_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abc")
    (repository / "snapshots" / "0123abc").mkdir(parents=True)
    return repository / "snapshots" / "0123abc" / file


def test_what_is_in_the_cache_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    weights = timm.create_model("resnet18").state_dict()
    save_file(weights, cache_of(tmp_path, "model.safetensors"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(pretrained, "answers", lambda _: pytest.fail("a connection was tried"))
    own = build("fpn", 3, encoder="resnet18", pretrained=True).state_dict()
    assert own["encoder.encoder.layer4.1.conv2.weight"].equal(weights["layer4.1.conv2.weight"])
    grey = build("fpn", 3, in_channels=1, encoder="resnet18", pretrained=True).state_dict()
    torch.testing.assert_close(grey["encoder.encoder.conv1.weight"], weights["conv1.weight"].sum(1, keepdim=True))


def test_a_pickle_in_the_cache_is_left_to_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache_of(tmp_path, "pytorch_model.bin").write_bytes(b"")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert pretrained.in_cache("timm/resnet18.a1_in1k", None) == str(
        tmp_path / "models--timm--resnet18.a1_in1k/snapshots/0123abc/pytorch_model.bin"
    )
    assert pretrained.weights_of("resnet18") == {}


def test_where_somebody_answers_timm_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(timm, "create_model", lambda *_, **options: pytest.fail(f"asked with {options}"))
    with pytest.raises(pytest.fail.Exception, match=r"'pretrained': True.*'pretrained_cfg_overlay': \{\}"):
        build("fpn", 3, encoder="resnet18", pretrained=True)


def test_offline_by_choice_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"^The pretrained weights of resnet18 .*: HF_HUB_OFFLINE is set.*=False\.$"):
        build("fpn", 3, encoder="resnet18", pretrained=True)


def test_an_address_answers_or_its_proxy_does(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket, closed_port: int
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    opened, closed = f"127.0.0.1:{listener.getsockname()[1]}", f"127.0.0.1:{closed_port}"
    assert answers(f"http://{opened}/path") and not answers(f"http://{closed}")
    monkeypatch.setenv("http_proxy", opened)
    assert answers(f"http://{closed}")
    monkeypatch.setenv("http_proxy", f"http://{closed}")
    assert not answers(f"http://{opened}")


def test_a_name_that_is_looked_up_for_ever_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()

    def looked_up(*_: object, **__: object) -> None:
        end.wait(30)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", looked_up)
    assert not answers("http://example.org", seconds=0.05)
    end.set()


def test_a_tag_that_timm_does_not_know_is_one_line() -> None:
    with pytest.raises(UserError, match=r"weights of resnet18\.zebra could not be had: Invalid pretrained tag"):
        build("fpn", 3, encoder="resnet18.zebra", pretrained=True)

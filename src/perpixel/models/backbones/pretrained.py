"""Where the pretrained weights of a timm encoder are: in the local cache, or behind a network that answers.

timm asks the hub again and again, with pauses, before it gives up; without a network that takes a minute. Here the cache
is looked into first, and then one connection is tried.
"""

import socket
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import timm
from huggingface_hub import constants, try_to_load_from_cache

from perpixel.core.errors import UserError

PATIENCE = 2.0
"""Seconds that a connection may take."""


def weights_of(name: str) -> dict[str, Any]:
    """What timm's configuration of an encoder must also say: the file of its weights, or nothing where timm may fetch them.

    Raises:
        UserError: they are not in the cache, and nobody answers where they could be fetched.
    """
    config = timm.models.get_pretrained_cfg(name)
    if config is None or config.hf_hub_id is None:
        return {}  # an address of torch.hub, which tries once, or no weights, which timm says
    cached = in_cache(config.hf_hub_id, config.hf_hub_filename)
    if cached is not None:  # a pickle is left to timm, which knows how to read it as weights alone
        return {"file": cached} if cached.endswith(".safetensors") else {}
    if constants.HF_HUB_OFFLINE or not answers(constants.ENDPOINT):
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} does not answer"
        raise UserError(
            f"The pretrained weights of {name} could not be had: {why}, and they are not in the cache, "
            f"{constants.HF_HUB_CACHE}. Connect to the network once, or use pretrained=False."
        )
    return {}


def in_cache(repository: str, filename: str | None) -> str | None:
    """The file of a repository's weights in the Hugging Face cache; safetensors before others, as timm looks for them."""
    name, _, revision = repository.partition("@")
    for wanted in (filename,) if filename else ("model.safetensors", "pytorch_model.bin"):
        found = try_to_load_from_cache(name, wanted, revision=revision or None)
        if isinstance(found, str):
            return found
    return None


def answers(url: str, seconds: float = PATIENCE) -> bool:
    """Whether a connection can be made to a URL's host, or to the proxy before it, within so many seconds."""
    address = urlsplit(url)
    proxy = None if proxy_bypass(address.hostname or "") else getproxies().get(address.scheme)
    if proxy:
        address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    where = address.hostname or "", address.port or (443 if address.scheme == "https" else 80)
    connected = threading.Event()

    def connect() -> None:
        with suppress(OSError), socket.create_connection(where, timeout=seconds):
            connected.set()

    thread = threading.Thread(target=connect, daemon=True)  # looking a name up may take longer than any timeout
    thread.start()
    thread.join(seconds)
    return connected.is_set()

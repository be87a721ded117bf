"""Weights of another code become a bundle: a network of ours, its classes, and the preprocessing that it was trained with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from perpixel.bundle.folder import save_bundle
from perpixel.bundle.info import BundleInfo
from perpixel.bundle.preprocessing import Preprocessing
from perpixel.core.errors import UserError, nearest
from perpixel.core.files import sha256_file
from perpixel.labels import Taxonomy
from perpixel.labels.known import KNOWN
from perpixel.models.ports import Ported, read_port


def convert_weights(
    file: str | Path,
    source: str,
    out: str | Path,
    *,
    classes: str | None = None,
    num_classes: int | None = None,
    network: str | None = None,
    options: Mapping[str, Any] | None = None,
    licence: str = "",
    unsafe_pickle: bool = False,
) -> tuple[Ported, Taxonomy]:
    """Writes the bundle `out` from a checkpoint file; returns what it was found to be, and its classes.

    Args:
        file: safetensors, or with `unsafe_pickle` whatever `torch.load` reads.
        source: a key of `perpixel.models.ports.SOURCES`.
        classes: "voc", "cityscapes" and so on, or names with commas between; None for those of the source where it says
            them for this number of classes, else "class 0", "class 1" ... Where the weights have a class for what is not
            labelled and these have none, that class is left out.
        num_classes, network, options: see `perpixel.port`.
        licence: of the weights, as their authors say it; it is written into the bundle.

    Raises:
        UserError: the file cannot be read, or is not what `source` says; there are more or fewer names than classes.
    """
    file = Path(file)
    state = read_checkpoint(file, unsafe_pickle)
    ported = read_port(source, state, num_classes, network, options)
    if names_all_but_void(classes, ported):
        ported = read_port(source, state, ported.num_classes - 1, network, options)
    if ported.reading.build is not None and num_classes is None:
        raise UserError(
            f"{file}: a classifier's weights; say num_classes for a segmentation network that starts from it"
        )
    taxonomy = taxonomy_of(classes, ported)
    pixels, is_photo = ported.pixels, ported.reading.in_channels == 3
    info = BundleInfo(
        network=ported.reading.network,
        options=ported.options,
        taxonomy=taxonomy.to_dict(),
        preprocessing=Preprocessing(
            ported.reading.in_channels,
            pixels.mean,
            pixels.std,
            bgr=pixels.bgr,
            dtype="uint8" if is_photo else None,
            value_range=(0, 255) if is_photo else None,
        ),
        training={
            "ported_from": source,
            "file": file.name,
            "file_sha256": sha256_file(file),
            "fresh_head": ported.fresh_head,
        },
        data={"name": f"see {source}", "licence": licence or "not said; see where the weights come from"},
    )
    save_bundle(out, ported.model, info)
    return ported, taxonomy


def read_checkpoint(file: Path, unsafe_pickle: bool) -> Mapping[str, Any]:
    """What a checkpoint file holds. A pickle, which can run code while it is read, is read only when that is allowed.

    Raises:
        UserError: no such file, a pickle without leave, or nothing that can be read.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    try:
        if is_safetensors(file):
            return load_file(file)
        if not unsafe_pickle:
            raise UserError(
                f"{file}: a pickle, which can run code while it is read. If you trust where it is from, "
                "say --unsafe-pickle; else save its tensors as safetensors first"
            )
        return load_pickle(file)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: cannot be read as weights ({str(error).splitlines()[0][:120]})") from error


def is_safetensors(file: Path) -> bool:
    """Whether a file begins as safetensors do: eight bytes of length, then a JSON object."""
    with file.open("rb") as stream:
        start = stream.read(9)
    return file.suffix == ".safetensors" or (len(start) == 9 and start[8:] == b"{" and start[:2] != b"PK")


def load_pickle(file: Path) -> Mapping[str, Any]:
    """`torch.load`, with tensors alone if that is enough, else with everything the file asks for."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # whatever an older or richer pickle raises there
        try:
            found = torch.load(file, map_location="cpu", weights_only=False)
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{file}: cannot be read as weights ({reason[:120]})") from error
    if isinstance(found, torch.nn.Module):
        found = found.state_dict()
    if not isinstance(found, Mapping):
        raise UserError(f"{file}: expected a state dict in it, got {type(found).__name__}")
    return found


def names_all_but_void(classes: str | None, ported: Ported) -> bool:
    """Whether as many classes are named as the network has beside that for what is not labelled."""
    if classes is None or ported.void is None:
        return False
    named = KNOWN[classes].num_classes if classes in KNOWN else len(classes.split(","))
    return named == ported.num_classes - 1


def with_void(known: Taxonomy, index: int) -> Taxonomy:
    """`known` and, at `index`, the class "void", black, of the mask values that `known` ignores."""

    def put(own: tuple[Any, ...], one: Any) -> tuple[Any, ...]:
        return (*own[:index], one, *own[index:])

    return Taxonomy(put(known.names, "void"), put(known.colours, (0, 0, 0)), put(known.values, known.ignore), ignore=())


def taxonomy_of(classes: str | None, ported: Ported) -> Taxonomy:
    """The classes that `classes` says, the source's own, or numbered ones.

    Raises:
        UserError: a name that is no taxonomy's, or another number of classes than the network has.
    """
    k = ported.num_classes
    if classes is None and ported.void is not None:
        return with_void(KNOWN[ported.source.classes[k - 1]], ported.void)
    said = classes or ("" if ported.fresh_head else ported.source.classes.get(k, ""))
    if not said:
        return Taxonomy.of([f"class {i}" for i in range(k)])
    if said not in KNOWN and "," not in said and k != 1:
        raise UserError(
            f'"{said}" is no known taxonomy ({", ".join(KNOWN)}); or give names with commas.{nearest(said, KNOWN)}'
        )
    taxonomy = KNOWN[said] if said in KNOWN else Taxonomy.of([name.strip() for name in said.split(",")])
    if taxonomy.num_classes != k:
        raise UserError(
            f"the network has {k} classes, {said if said in KNOWN else 'the list'} has {taxonomy.num_classes}"
        )
    return taxonomy

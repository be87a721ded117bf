"""A Predictor answers for one image at a time, at that image's own size."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from perpixel.analyze.halo import Halo, halo
from perpixel.bundle import BundleInfo, Preprocessing, load_bundle
from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.infer.blend import Blend
from perpixel.infer.exact import window
from perpixel.infer.images import ImageLike, as_array, display_image
from perpixel.infer.layout import TILE, Layout, layout
from perpixel.infer.monte_carlo import sample
from perpixel.infer.pieces import Piece, pieces
from perpixel.infer.prediction import Prediction, Probabilities
from perpixel.infer.tiles import Span
from perpixel.labels import Taxonomy


def load(path_or_name: str | Path, device: str = "auto") -> "Predictor":
    """A predictor from a bundle folder, a run folder, or the name of a bundled model.

    Args:
        path_or_name: such as "runs/mine", "runs/mine/best" or "street".
        device: "cpu", "cuda", "mps", or "auto" for the best that is there.

    Raises:
        UserError: nothing there, or its files are damaged.
    """
    model, info = load_bundle(path_or_name)
    if info.task != "segmentation":
        raise UserError(f"{path_or_name}: a detector ({info.network}); perpixel.infer.detector.load_detector loads it")
    return Predictor(model, info.preprocessing, info.classes, info.logit_bias, device, info)


@dataclass(frozen=True)
class Question:
    """An (H, W, C) image, what to call it in an error, and how it is asked for: see `Predictor.predict`."""

    image: Array
    where: str = "image"
    flip: bool = False
    tile: int | None = None
    samples: int = 0

    @property
    def size(self) -> Size:
        """(H, W) of the image."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True)
class Answer:
    """labels (H, W) uint8, the chosen class's mean probability, and (H, W) float32 mean variance of a sampled answer.

    probabilities are there only where they were to be kept; tiles says what `Layout.said` does.
    """

    labels: Array
    mean_confidence: float
    mean_variance: Array | None
    probabilities: Probabilities | None
    tiles: str = ""


class Predictor:
    """A network with everything that it needs to answer for an image file.

    Args:
        model: returns a dict with "logits".
        preprocessing: how an image becomes its input.
        taxonomy: its classes.
        logit_bias: K numbers added to the logits, what training with class weights takes back; none by default.
        device: "cpu", "cuda", "mps" or "auto".
        info: the bundle's description, if it came from one.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        taxonomy: Taxonomy,
        logit_bias: Sequence[float] = (),
        device: str = "auto",
        info: BundleInfo | None = None,
    ) -> None:
        self.device = pick_device(device)
        self.model = model.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.preprocessing, self.taxonomy, self.info = preprocessing, taxonomy, info
        if len(logit_bias) not in (0, taxonomy.num_classes):
            raise UserError(f"{taxonomy.num_classes} classes need as many logit biases or none, got {len(logit_bias)}")
        bias = torch.tensor(logit_bias, dtype=torch.float32, device=self.device)
        self.logit_bias = bias.view(1, -1, 1, 1) if any(logit_bias) else None
        self.sums: Tensor | None = None

    def __repr__(self) -> str:
        """Such as Predictor(enet, 11 classes (sky, building, ...), 3 channels, cpu)."""
        network = self.info.network if self.info else type(self.model).__name__
        k, names = self.taxonomy.num_classes, self.taxonomy.names
        listed = ", ".join(names[:4]) + (", ..." if k > 4 else "")
        return f"Predictor({network}, {k} classes ({listed}), {self.preprocessing.channels} channels, {self.device})"

    def answering(self, sums: Array, taxonomy: Taxonomy) -> "Predictor":
        """One of the same network that answers in other classes: each is a sum of its own, taken before the most probable is
        chosen. What no class is made of counts for nothing, so that the probabilities of a pixel sum to at most 1.

        Args:
            sums: (E, K) zeros and ones, at most one 1 a column (`perpixel.labels.Grouping.matrix`).
            taxonomy: the E classes.
        """
        other = copy.copy(self)
        other.sums, other.taxonomy = torch.from_numpy(sums).float().to(self.device), taxonomy
        return other

    @property
    def sums_to_one(self) -> bool:
        """Whether the probabilities of a pixel do: not where classes of the network count for nothing."""
        return self.sums is None or bool(self.sums.sum(0).all())

    def predict(
        self,
        image: ImageLike,
        flip: bool = False,
        tile: int | None = None,
        samples: int = 0,
        probabilities: bool = False,
        name: str = "",
    ) -> Prediction:
        """What the network says of one image.

        Args:
            image: a path, a PIL image, or (H, W), (H, W, C) uint8, uint16 or float32.
            flip: also predict the mirrored image and average the probabilities.
            tile: side in pixels; a larger image is computed in overlapping tiles of this side, which equal the whole where
                the network allows it and are blended where not (`Prediction.tiles` says which). None chooses the side.
            samples: 1 or more: the network is asked so often with dropout on, always the same way, and the mean of its
                probabilities counts; their variance says how sure it is (Bayesian SegNet).
            probabilities: keep them, K times 4 bytes a pixel. Without it they are computed anew where they are looked at, and
                memory holds the labels and one tile's probabilities at a time.
            name: what to call the image in an error; a path's own unless given.

        Raises:
            UserError: the file cannot be read, its channels or numbers do not fit the model, or samples of a model without
                dropout.
        """
        array = as_array(image, self.preprocessing.stored, self.preprocessing.mean_of_bands)
        where = name or (str(image) if isinstance(image, str | Path) else "image")
        question = Question(array, where, flip, tile, samples)
        answer = self.answer(question, probabilities)
        kept = answer.probabilities

        def ask() -> Probabilities:
            found = kept or self.answer(question, keep=True).probabilities
            assert found is not None
            return found

        picture = display_image(array, self.preprocessing.bands)
        return Prediction(
            answer.labels, self.taxonomy, picture, answer.mean_confidence, ask, answer.mean_variance, answer.tiles
        )

    @torch.inference_mode()
    def answer(self, question: Question, keep: bool = False, see: Callable[[Piece], None] | None = None) -> Answer:
        """The labels of a whole image.

        Args:
            question: the image, and how to ask for it.
            keep: keep the probabilities of all of it.
            see: is shown each piece (1, K, h, w) of the probabilities, or (2, K, h, w) of their mean and variance.
        """
        size, k = question.size, self.taxonomy.num_classes
        labels, confidence = np.empty(size, np.uint8), 0.0
        spread = np.empty(size, np.float32) if question.samples else None
        values = np.empty((k, *size), np.float32) if keep else None
        variance = np.empty((k, *size), np.float32) if keep and question.samples else None
        image = self.preprocessing.resized(question.image, question.where)
        cut = self.layout((image.shape[-2], image.shape[-1]), question)
        for piece in self._pieces(image, cut, question):
            rows, columns = piece.place
            if see is not None:
                see(piece)
            best, chosen = piece.values[0].max(0)
            labels[rows, columns] = chosen.to(torch.uint8).cpu().numpy()
            confidence += best.sum(dtype=torch.float64).item()
            if spread is not None:
                spread[rows, columns] = piece.values[1].mean(0).cpu().numpy()
            for whole, part in zip((values, variance), piece.values, strict=False):
                if whole is not None:
                    whole[:, rows, columns] = part.cpu().numpy()
        probabilities = None if values is None else Probabilities(values, variance)
        return Answer(labels, confidence / labels.size, spread, probabilities, cut.said)

    def layout(self, working: Size, question: Question) -> Layout:
        """The tiles in which a question is answered; working: (H, W) at which the network sees the image."""
        side = TILE if question.tile is None else question.tile
        large = working[0] * working[1] > side * side
        exact = self._halo if large and not question.samples else None
        return layout(exact, working, question.tile, question.flip, room=int(working != question.size))

    @cached_property
    def _halo(self) -> Halo | None:
        with torch.inference_mode(False):
            return halo(self.model, self.preprocessing.channels)

    def _pieces(self, image: Tensor, cut: Layout, question: Question) -> Iterator[Piece]:
        """Pieces (1, K, h, w) of probabilities, or (2, K, h, w) of their mean and variance where they are sampled."""
        working = (image.shape[-2], image.shape[-1])
        blend = None if cut.exact else Blend(cut.tiles)
        for seed, (rows, columns) in enumerate(cut.tiles):
            ask = partial(self._probabilities, image, rows, columns, cut.grid[1] if question.flip else 0)
            values = torch.cat(sample(self.model, ask, question.samples, seed)) if question.samples else ask()
            for settled in [(values, rows, columns)] if blend is None else blend.add(values, rows, columns):
                yield from pieces(*settled, working, question.size)

    def _probabilities(self, image: Tensor, rows: Span, columns: Span, flip: int) -> Tensor:
        """(1, K, h, w) float32, of the tile (h, w) of a (1, C, H, W) image at its working size, not yet normalised.

        flip: the grid in pixels on which the mirrored image's tiles lie, to average with it; 0 not to.
        """
        band = image[..., rows.start : rows.stop, :]
        values = self._softmax(band[..., columns.start : columns.stop])
        if not flip:
            return values
        # the mirrored image's tiles lie on its own grid: this one, and what is left to the next line of it on both sides
        length = image.shape[-1]
        seen = window(length - columns.stop, length - columns.start, length, (0, 0), flip)
        mirrored = self._softmax(band[..., length - seen.stop : length - seen.start].flip(-1)).flip(-1)
        begin = columns.start - (length - seen.stop)
        return values.add_(mirrored[..., begin : begin + columns.stop - columns.start]).div_(2)

    @torch.inference_mode()
    def ask(self, image: Array, where: str = "image") -> Tensor:
        """(1, K, h, w) float32 probabilities of one (H, W, C) window, at its working size."""
        return self._softmax(self.preprocessing.resized(image, where))

    def _softmax(self, tile: Tensor) -> Tensor:
        normalised = self.preprocessing.normalise(tile.to(self.device)).contiguous(memory_format=torch.channels_last)
        logits = self.model(normalised)["logits"].float()
        biased: Tensor = logits if self.logit_bias is None else logits + self.logit_bias
        values = biased.softmax(1)
        return values if self.sums is None else torch.einsum("ek,bkhw->behw", self.sums, values)


def pick_device(name: str = "auto") -> torch.device:
    """A device by name; "auto" is CUDA, then Apple's, then the CPU.

    Raises:
        UserError: a device that this machine does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f'device "{name}" is not available here; use cpu, cuda, mps or auto') from error
    return device

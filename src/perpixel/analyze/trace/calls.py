"""One operator at work, as the rules see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from perpixel.analyze.trace.boxes import Boxes, Note


@dataclass(frozen=True)
class Call:
    """`name` is as in `torch.ops.aten`, without the underscore of what works in place; `values` are its arguments.

    `boxes_of` and `constant_of` tell what is known of a tensor; `module` is the one whose forward is running, and `where`
    its name.
    """

    name: str
    operator: Any
    values: dict[str, Any]
    outputs: list[Tensor]
    boxes_of: Callable[[Tensor], Boxes | None]
    constant_of: Callable[[Tensor], Tensor | None]
    module: nn.Module
    where: str

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the first output."""
        return tuple(self.outputs[0].shape)

    @property
    def read(self) -> list[Boxes]:
        """The boxes of all tensors among the arguments that depend on the image."""
        found = (self.boxes_of(t) for t in tree_leaves(self.values) if isinstance(t, Tensor))
        return [boxes for boxes in found if boxes is not None]

    def boxes(self, name: str) -> Boxes | None:
        """Those of an argument; None where it is no tensor, or depends on no pixel."""
        value = self.values.get(name)
        return self.boxes_of(value) if isinstance(value, Tensor) else None

    def constant(self, value: Tensor) -> Tensor | None:
        """A tensor's values, where they depend on no pixel and are known."""
        return None if self.boxes_of(value) is not None else self.constant_of(value)

    def note(self, kind: str, what: str | None = None) -> Note:
        return Note(kind, what or self.name.lstrip("_").removeprefix("safe_"), self.where)


Result = Boxes | None | Sequence[Boxes | None]
"""For the outputs of an operator: one for all of them, or one for each. None depends on no pixel."""
Rule = Callable[[Call], Result]

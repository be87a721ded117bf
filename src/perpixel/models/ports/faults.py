"""What is wrong with a state dict, said by the names that its keys have there."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from perpixel.core.errors import UserError
from perpixel.core.words import some_names

SHOWN = 6
"""How many keys an error lists before it says "and n more"."""
LEAVES = ("weight", "bias", "running_mean", "running_var")


def refuse(what: str, missing: Sequence[str], extra: Sequence[str], wrong: Sequence[str]) -> None:
    """Raise `UserError` with the keys at fault, unless there are none."""
    faults = [("missing", missing), ("unknown", extra), ("of another shape", wrong)]
    if any(keys for _, keys in faults):
        said = "; ".join(f"{kind}: {shown(keys)}" for kind, keys in faults if keys)
        raise UserError(f"these are not the weights of {what}: {said}")


def shown(keys: Iterable[str]) -> str:
    """Some keys, and how many more there are.

    >>> shown("abcdefgh")
    'a, b, c, d, e, f and 2 more'
    """
    return some_names(list(keys), SHOWN)


def their_names(
    keys: Sequence[str], state: Iterable[str], rename: Callable[[str], str], single: Iterable[str] = ()
) -> list[str]:
    """Keys of ours that the source's state dict lacks, as the source would call them; ours where that cannot be told.

    `single` are keys of the source like which it has no other, so that they cannot be guessed from those that are there.

    >>> their_names(["stage.3.bias"], {"layer2.bias": 0, "layer3.weight": 0}, lambda k: k.replace("layer", "stage."))
    ['layer3.bias']
    """
    wanted = set(keys[:SHOWN])
    there = set(state)
    leaves = dict.fromkeys([*LEAVES, *(key.rpartition(".")[2] for key in wanted)])
    names: dict[str, str] = {}
    for guess in [*single, *guesses(there, leaves)] if wanted else ():
        with suppress(IndexError, KeyError, ValueError):  # `rename` may trip over a key that nobody has
            name = rename(guess)
            if name in wanted and guess not in there:
                names.setdefault(name, guess)
        if len(names) == len(wanted):
            break
    return [names.get(key, key) for key in keys]


def guesses(state: Iterable[str], leaves: Iterable[str]) -> Iterator[str]:
    """Keys like those of a state dict, but for the last part, the beginning, or one number."""
    state = sorted(state)
    highest = max((int(number) for key in state for number in re.findall(r"\d+", key)), default=0)
    for key in state:
        parts = key.split(".")
        yield from (".".join([*parts[:-1], leaf]) for leaf in leaves)
        yield from (".".join(parts[i:]) for i in range(1, len(parts)))
    for template in dict.fromkeys(
        (key[: number.start()], key[number.end() :]) for key in state for number in re.finditer(r"\d+", key)
    ):
        yield from (str(i).join(template) for i in range(max(highest, 8) + 2))

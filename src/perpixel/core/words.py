"""Words of a message that several folders say alike."""

from collections.abc import Sequence


def some_names(names: Sequence[object], most: int = 4) -> str:
    """The first few of some names, and how many more there are.

    >>> some_names("abcdef"), some_names("abc"), some_names([7, 8, 9], most=2)
    ('a, b, c, d and 2 more', 'a, b, c', '7, 8 and 1 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(str(n) for n in names[:most]) + more

"""MSeg's table of universal classes, a TSV file, read as a common taxonomy.

Every row is a universal class, every column a data set; a cell has the set's class, or several: {house, building}. The row
"unlabeled" has what is dropped. Source: Lambert et al., CVPR 2020, `MSeg_master.tsv` of their code.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from perpixel.core.errors import UserError
from perpixel.core.text import read_text
from perpixel.labels.mapping import CommonTaxonomy
from perpixel.labels.taxonomy import Taxonomy

UNIVERSAL, UNLABELED = "universal", "unlabeled"
_ABOUT = ("Parent Category", UNIVERSAL, "WordNet", "Defn", "Modification")
"""How the columns begin that are no data set's."""


def read_mseg(file: str | Path) -> CommonTaxonomy:
    """The table as a common taxonomy; sets and classes in the table's order.

    Raises:
        UserError: no such file, or it is not a table of this form.
    """
    rows = list(csv.reader(io.StringIO(read_text(file), newline=""), delimiter="\t"))
    rows = [row for row in rows if any(row)]
    if not rows or UNIVERSAL not in rows[0]:
        raise UserError(
            f'{file}: expected a table with tabs between columns, one of them "{UNIVERSAL}", as MSeg_master.tsv'
        )
    _refuse_ragged(file, rows)
    place = rows[0].index(UNIVERSAL)
    names = [row[place].strip() for row in rows[1:]]
    try:
        classes = Taxonomy.of([n for n in names if n != UNLABELED])
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    columns = {h.strip(): i for i, h in enumerate(rows[0]) if not h.startswith(_ABOUT)}
    cells = {key: [_cell(row[i]) for row in rows[1:]] for key, i in columns.items()}
    return CommonTaxonomy(Path(file).stem, classes, {k: _block(names, c) for k, c in cells.items()}, str(file))


def _refuse_ragged(file: str | Path, rows: Sequence[Sequence[str]]) -> None:
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(rows[0]):
            raise UserError(f"{file}, row {number}: {len(row)} columns, but the first row has {len(rows[0])}")
    twice = [h for h in rows[0] if rows[0].count(h) > 1]
    if twice:
        raise UserError(f'{file}: the column "{twice[0]}" is there twice')


def _cell(text: str) -> list[str]:
    """The classes of a cell.

    >>> _cell("{house,building,  tower}"), _cell("sky"), _cell("")
    (['house', 'building', 'tower'], ['sky'], [])
    """
    text = text.strip()
    inside = text[1:-1].split(",") if text.startswith("{") and text.endswith("}") else [text]
    return [name.strip() for name in inside if name.strip()]


def _block(universal: Sequence[str], cells: Sequence[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The set's classes in the order of the table; one that is only in the row "unlabeled" is dropped."""
    found: dict[str, tuple[str, ...]] = {}
    for common, names in zip(universal, cells, strict=True):
        for name in names:
            parts = () if common == UNLABELED else (common,)
            found[name] = found.get(name, ()) + parts
    return found

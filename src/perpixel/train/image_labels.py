"""Image-level labels: a CSV file that says which classes an image shows, and not where."""

import csv
from pathlib import Path

from perpixel.core.errors import UserError

HEADER = ["image", "classes"]


def read_image_labels(file: str | Path) -> dict[Path, tuple[str, ...]]:
    """Reads `image,classes` lines: a path, relative to the file's folder, and class names divided by semicolons.

        image,classes
        more/0001.jpg,person;vehicle
        more/0002.jpg,

    The second image shows the background alone.

    Raises:
        UserError: no such file or not CSV, another header, a line of another length, an image that is not there or comes twice.
    """
    file = Path(file)
    try:
        rows = list(csv.reader(file.read_text(encoding="utf-8-sig").splitlines(), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read as CSV ({error})") from error
    if not rows or [cell.strip() for cell in rows[0]] != HEADER:
        raise UserError(
            f'{file}: its first line must be "{",".join(HEADER)}", then one image a line: a.jpg,person;vehicle'
        )
    found: dict[Path, tuple[str, ...]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(HEADER):
            raise UserError(
                f"{file}, line {number}: expected an image and its classes, divided by semicolons, got {row}"
            )
        path = file.parent / row[0].strip()
        if not path.is_file():
            raise UserError(f"{file}, line {number}: there is no image {path}")
        if path in found:
            raise UserError(f"{file}, line {number}: {row[0].strip()} comes twice")
        found[path] = tuple(name.strip() for name in row[1].split(";") if name.strip())
    return found

"""What hostile files cost: the time and the memory above its own pixels that each takes in every reader.

    python benchmarks/readers.py [NAME ...]

Files are made that claim much and hold little, of every format that is read, and the largest honest ones. Each is read
in a process of its own as an image, as a mask, and for its size. Printed: the file's bytes, what came of it, seconds
(of the clock, and of the processor), and the peak of memory above the start and above the image's own array. A line
that takes more than 5 processor seconds or 1 GiB so is marked. Timings depend on the machine; what was measured stands
in readers.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from readers_files import MAKERS
from readers_tiff import TIFFS

SECONDS, BYTES = 5.0, 2**30

CHILD = """
import json, re, sys, time
import numpy as np, imagecodecs, tifffile
from pathlib import Path
from perpixel.core import image
from perpixel.core.errors import UserError
def peak(): return int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read()).group(1)) * 1024
read = getattr(image, sys.argv[1])
start, wall, cpu, own = peak(), time.perf_counter(), time.process_time(), 0
try:
    found = read(sys.argv[2])
    array = getattr(found, "values", found)
    own = getattr(array, "nbytes", 0)
    words = "x".join(map(str, getattr(array, "shape", array)))
except UserError as error:
    words = "refused: " + str(error).removeprefix(sys.argv[2] + ": ")
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps([words, wall, cpu, max(0, peak() - start - max(own, int(sys.argv[3]))), own]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="files such as flat.png, or endings such as .png; all by default")
    names = parser.parse_args().names
    print(f"{'file':28} {'bytes':>11} {'clock':>6} {'cpu':>5} {'MB':>6}  what came of it")
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (MAKERS | TIFFS).items():
            if not names or any(name == n or name.endswith(n) for n in names):
                path = Path(folder) / name
                path.write_bytes(make())
                measure(path)
                path.unlink()


def measure(path: Path) -> None:
    """Prints the line of one file: what `read_image` gave, and the most that any of the three took."""
    image = asked("read_image", path)
    found = [image, asked("read_mask", path, image[4]), asked("image_size", path)]  # a mask is of the same picture
    faults = [f[0] for f in found if f[0].startswith("FAILED")]
    words = (faults or [image[0]])[0]
    wall, cpu, memory = (max(f[i] for f in found) for i in (1, 2, 3))
    mark = " <-- above the bound" if cpu > SECONDS or memory > BYTES or faults else ""
    costs = f"{path.stat().st_size:>11,} {wall:>6.2f} {cpu:>5.2f} {memory / 1e6:>6.0f}"
    print(f"{path.name:28} {costs}  {words[:90]}{mark}", flush=True)


def asked(read: str, path: Path, own: int = 0) -> list[Any]:
    """[words, seconds of the clock, of the processor, bytes above `own` or the result, bytes of the result]."""
    command = [sys.executable, "-c", CHILD, read, str(path), str(own)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode or done.stderr:
        return ["FAILED: " + (done.stderr.strip().splitlines() or [str(done.returncode)])[-1], 0, 0, 0, 0]
    return list(json.loads(done.stdout))


if __name__ == "__main__":
    main()

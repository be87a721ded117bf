"""What the study of a set's errors costs beside the inference of the same images.

    python benchmarks/errors.py CAMVID [--model street] [--images 101] [--device cpu]

One pass, in which each image is predicted and then studied (kinds of errors, worst regions, ceiling, borders, reliability,
risk), as `perpixel errors` does; the two are timed apart, and their ratio is printed. The goal is below 1. What is left out
of both: reading the files, the co-occurrences of the training set (once, printed too), intervals and the page.

Measured: see docs/why.md.
"""

import argparse
import time

import torch

import perpixel
from perpixel.core.memory import keep_freed_memory
from perpixel.data.pairs import read_pair
from perpixel.explain.error_results import error_results
from perpixel.explain.errors import ErrorStudy
from perpixel.explain.setting import seen_in_training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--model", default="street")
    parser.add_argument("--images", type=int, default=101)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    keep_freed_memory()
    predictor, dataset = perpixel.load(given.model, given.device), perpixel.open_dataset(given.data)
    taxonomy, samples = dataset.classes or predictor.taxonomy, dataset.split("val")[: given.images]
    before = time.perf_counter()
    seen, _ = seen_in_training(dataset, taxonomy, "val")
    counting = time.perf_counter() - before
    study, times = ErrorStudy(taxonomy, seen), {"predict": 0.0, "study": 0.0}
    for n, sample in enumerate(samples):
        image, truth = read_pair(sample, taxonomy)
        start = time.perf_counter()
        found = predictor.predict(image)
        said, confidence = found.labels, found.probabilities.max(axis=0)
        middle = time.perf_counter()
        study.add(sample, image, truth, said, confidence)
        if n:  # the first warms up
            times["predict"] += middle - start
            times["study"] += time.perf_counter() - middle
    before = time.perf_counter()
    error_results(study)
    intervals = time.perf_counter() - before
    device = (
        torch.cuda.get_device_name() if predictor.device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    )
    print(f"{given.model} on {len(samples)} images of {dataset.name or dataset.root.name}, {device}")
    print(f"study / inference {times['study'] / times['predict']:.3f} (goal: below 1)")
    each = 1000 / max(len(samples) - 1, 1)
    print(f"inference {times['predict'] * each:.1f} ms, study {times['study'] * each:.1f} ms an image")
    print(f"once: co-occurrences {counting:.1f} s, intervals {intervals:.1f} s")


if __name__ == "__main__":
    main()

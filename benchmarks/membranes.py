"""The errors of the ISBI 2012 challenge for a bundle, on a split of a folder of membranes: Rand, warping and pixel error.

    python benchmarks/membranes.py BUNDLE DATA [--split val] [--class cell]

The probability of the class is cut at 0.1 to 0.9; each error is the mean over the slices at the threshold that is best for it, as
the challenge has it. Slices that were not trained on, please: the challenge's own test labels are not public.
"""

import argparse

import perpixel
from perpixel.data.pairs import read_pair
from perpixel.metrics import membrane_scores


def main() -> None:
    parser = argparse.ArgumentParser(description="Rand, warping and pixel error on a split.")
    parser.add_argument("bundle")
    parser.add_argument("data")
    parser.add_argument("--split", default="val")
    parser.add_argument("--class", dest="name", default="cell")
    arguments = parser.parse_args()
    predictor = perpixel.load(arguments.bundle)
    label = predictor.taxonomy.names.index(arguments.name)
    samples = perpixel.open_dataset(arguments.data).split(arguments.split)
    pairs = [read_pair(sample, predictor.taxonomy) for sample in samples]
    scores = membrane_scores(
        [predictor.predict(image).probabilities[label] for image, _ in pairs], [labels == label for _, labels in pairs]
    )
    measured = perpixel.evaluate(predictor, samples, predictor.taxonomy, ("confusion",)).results
    print(f"{len(samples)} slices of split {arguments.split}")
    for error in ("rand_error", "warping_error", "pixel_error"):
        threshold = getattr(scores, error.replace("error", "threshold"))
        print(f"{error.replace('_', ' ')} {getattr(scores, error):.6f} at threshold {threshold:.1f}")
    print(f"mIoU {measured['mean_iou']:.4f}, {measured['convention']}")


if __name__ == "__main__":
    main()

"""The errors of a regression as sections of a page.

Shapes: N rows.
"""

import numpy as np

from seqtrain.pages.html import html_table
from seqtrain.tasks.inspecting.material import Material, Section, sentences
from seqtrain.tasks.inspecting.rates import percent, quantile_bins

ROWS = 20


def inspect(material: Material) -> list[Section]:
    """The sections of the page, in order."""
    predictions, targets = (material.outputs[name].astype(np.float64) for name in ("predictions", "targets"))
    errors = predictions - targets
    return [
        Section("In short", [sentences(summary(errors, material))]),
        Section("Worst rows", [worst(errors, targets, predictions, material)]),
        Section("Error by target", [by_target(errors, targets)]),
    ]


def summary(errors: np.ndarray, material: Material) -> list[str]:
    """The page in a few sentences."""
    squares = np.sort(errors**2)[::-1]
    half = int(np.searchsorted(np.cumsum(squares), squares.sum() / 2)) + 1
    lines = [
        f"{len(errors):,} rows of {material.split}: mse {squares.mean():.4g}, mae {np.abs(errors).mean():.4g}; "
        f"predictions are {abs(errors.mean()):.4g} too {'high' if errors.mean() > 0 else 'low'} on average.",
        f"Half of the squared error is in {half:,} rows ({percent(half / len(errors))}).",
    ]
    if material.rival is not None:
        others = material.rival.outputs["predictions"] - material.outputs["targets"]
        lines.append(
            f"{material.rival.label} has mse {np.mean(others**2):.4g}; {material.label} is nearer to the target in "
            f"{percent(float((np.abs(errors) < np.abs(others)).mean()))} of the rows."
        )
    return lines


def worst(errors: np.ndarray, targets: np.ndarray, predictions: np.ndarray, material: Material) -> str:
    """A table of the rows with the largest errors."""
    order = np.argsort(-np.abs(errors), kind="stable")[:ROWS].tolist()
    values: list[list[object]] = [
        [int(material.outputs["rows"][i]), float(targets[i]), float(predictions[i]), float(errors[i])] for i in order
    ]
    rows = [[f"{row[0]:,}", *(f"{value:.5g}" for value in row[1:])] for row in values]
    return html_table(["row", "target", "prediction", "error"], rows, values)


def by_target(errors: np.ndarray, targets: np.ndarray) -> str:
    """A table of errors by the size of the target."""
    numbers, ends = quantile_bins(targets)
    rows, values = [], list[list[object]]()
    for g, (low, high) in enumerate(ends.tolist()):
        own = errors[numbers == g]
        of_bin = [float(own.mean()), float(np.abs(own).mean()), float((own**2).mean())]
        rows.append([f"{low:.4g} to {high:.4g}", f"{len(own):,}", *(f"{value:.4g}" for value in of_bin)])
        values.append([g, len(own), *of_bin])
    return html_table(["target", "rows", "mean error", "mae", "mse"], rows, values)

"""Confusions, errors by class and calibration of a classifier, of rows or of steps, as sections of a page."""

from collections.abc import Sequence
from html import escape

import numpy as np

from seqtrain.data.spec import DataSpec
from seqtrain.pages.html import Html, bar, details, html_table
from seqtrain.tasks.classification.errors import Predictions, confusions
from seqtrain.tasks.classification.metrics import calibration_error, reliability_bins
from seqtrain.tasks.inspecting.material import Section, soft
from seqtrain.tasks.inspecting.rates import interval, percent, wilson

PAIRS = 15
"""Confusions that are shown at first."""
MOST_CLASSES = 40
"""Of a whole matrix of confusions."""
BINS = 10


def confused(found: Predictions, spec: DataSpec, unit: str = "rows") -> Section:
    """What is taken for what; ``unit``: what is classified, in the plural."""
    names, counts = spec.class_names, found.counts()
    rows, values = [], list[list[object]]()
    for true, predicted in zip(*confusions(counts), strict=True):
        number, of = int(counts[true, predicted]), int(counts[true].sum())
        share = number / of
        rows.append([names[true], names[predicted], f"{number:,}", percent(share), Html(bar(share))])
        values.append([names[true], names[predicted], number, share, share])
    if not rows:
        return Section("Confusions", ["<p>There is none.</p>"])
    header = ["true class", "taken for", unit, "of the class", ""]
    parts = [html_table(header, rows[:PAIRS], values[:PAIRS], text=2)]
    if len(rows) > PAIRS:
        parts.append(details(f"All {len(rows):,} pairs", html_table(header, rows, values, text=2)))
    if len(names) <= MOST_CLASSES:
        parts.append(details("The matrix of confusions", matrix(counts, names)))
    return Section("Confusions", parts)


def matrix(counts: np.ndarray, names: Sequence[str]) -> str:
    """The confusion matrix: a line for each true class; the background is the share of its rows."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    heads = "".join(f'<th scope="col" title="{escape(name)}">{i}</th>' for i, name in enumerate(names))
    lines = []
    for i, name in enumerate(names):
        cells = "".join(
            f'<td style="background:rgba(66,105,208,{0.6 * share:.2f})">{number or ""}</td>'
            for number, share in zip(counts[i].tolist(), shares[i].tolist(), strict=True)
        )
        lines.append(f'<tr><th scope="row" class="text">{i} {escape(name)}</th>{cells}</tr>')
    body = "\n".join(lines)
    head = f'<thead><tr><th class="text">true class</th>{heads}</tr></thead>'
    remark = soft("Columns are predicted classes, by the number before each name.")
    return f'<div class="scroll"><table class="matrix">{head}\n<tbody>{body}</tbody></table></div>{remark}'


def by_class(found: Predictions, spec: DataSpec, unit: str = "rows") -> Section:
    """The error of each class, the highest first, and what it is most often taken for."""
    names, counts = spec.class_names, found.counts()
    rows_of, guessed, right = counts.sum(1), counts.sum(0), np.diag(counts)
    wrong = rows_of - right
    lower, upper = wilson(wrong, rows_of)
    rates = wrong / np.maximum(rows_of, 1)
    trained = spec.class_counts or [0] * len(names)
    header = ["class", f"{unit} of train", unit, "wrong", "error", "", "95 % interval", "precision", "F1", "taken for"]
    rows, values = [], list[list[object]]()
    for c in np.argsort(-np.where(rows_of > 0, rates, -1), kind="stable").tolist():
        precision = right[c] / guessed[c] if guessed[c] else 0.0
        f1 = 2 * right[c] / max(rows_of[c] + guessed[c], 1)
        others = counts[c] * (np.arange(len(names)) != c)
        most = names[others.argmax()] if others.any() else "-"
        error = [percent(rates[c]), Html(bar(rates[c])), interval(lower[c], upper[c])] if rows_of[c] else ["-", "", "-"]
        rows.append([names[c], f"{trained[c]:,}", f"{rows_of[c]:,}", f"{wrong[c]:,}", *error,
                     f"{precision:.3f}", f"{f1:.3f}", most])  # fmt: skip
        values.append([names[c], trained[c], rows_of[c], wrong[c], rates[c], rates[c], lower[c], precision, f1, most])
    return Section("Error by class", [html_table(header, rows, values)])


def calibration(found: Predictions, unit: str = "rows") -> Section:
    """Whether the model is as often right as it is sure."""
    confidence, accuracy, counts = reliability_bins(found.probabilities, found.targets, BINS)
    lower, upper = wilson(np.rint(accuracy * counts).astype(np.int64), counts)
    header = ["probability", unit, "mean probability", "right", "", "95 % interval", ""]
    rows, values = [], list[list[object]]()
    for b in np.flatnonzero(counts).tolist():
        apart = (
            "" if lower[b] <= confidence[b] <= upper[b] else "too sure" if confidence[b] > upper[b] else "too unsure"
        )
        rows.append([f"{b / BINS:.1f} to {(b + 1) / BINS:.1f}", f"{counts[b]:,}", percent(confidence[b]),
                     percent(accuracy[b]), Html(bar(accuracy[b])), interval(lower[b], upper[b]), apart])  # fmt: skip
        values.append([b, counts[b], confidence[b], accuracy[b], accuracy[b], lower[b], apart])
    error = calibration_error(found.probabilities, found.targets)
    words = f"Calibration error {error:.4f}, in 15 bins. Probability is that of the predicted class."
    return Section("Calibration", [html_table(header, rows, values), soft(words)])

"""The errors of a multi-label classifier as sections of a page.

Shapes: N rows, C classes.
"""

from collections.abc import Sequence
from html import escape

import numpy as np

from seqtrain.pages.html import html_table
from seqtrain.tasks.inspecting.material import Material, Section, sentences, soft
from seqtrain.tasks.inspecting.rates import interval, percent, wilson
from seqtrain.tasks.inspecting.texts import attention_of, by_text, cards, legend, read_texts
from seqtrain.tasks.statistics import quotient

CARDS = 12


def inspect(material: Material) -> list[Section]:
    """The sections of the page, in order."""
    predictions, targets = material.outputs["predictions"].astype(bool), material.outputs["targets"].astype(bool)
    texts, wrong = read_texts(material), (predictions != targets).any(1)
    places = np.argsort(-material.outputs["losses"], kind="stable")[:CARDS].tolist()
    attention = attention_of(material, texts, places)
    titles = [title(material, predictions, targets, place) for place in places]
    sections = [
        Section("In short", [sentences(summary(material, predictions, targets))]),
        Section(
            "Rows with the largest loss", [soft(legend(texts, attention)), *cards(texts, titles, places, attention)]
        ),
        Section("Error by class", [by_class(material.spec.class_names, predictions, targets)]),
    ]
    if texts is not None:
        tables = [part for name, table in by_text(texts, wrong) for part in (f"<h3>By {name}</h3>", table)]
        sections.append(Section("Error by text", [soft("A row is wrong if any of its labels is."), *tables]))
    return sections


def summary(material: Material, predictions: np.ndarray, targets: np.ndarray) -> list[str]:
    """The page in a few sentences."""
    wrong = (predictions != targets).any(1)
    lower, upper = wilson(np.array([wrong.sum()]), np.array([len(wrong)]))
    missed, extra = (targets & ~predictions).sum(), (predictions & ~targets).sum()
    lines = [
        f"{wrong.sum():,} of {len(wrong):,} rows of {material.split} have a wrong set of labels: "
        f"{percent(wrong.mean())}, 95 % interval {interval(lower[0], upper[0])}.",
        f"Of {targets.sum():,} labels {missed:,} are missed; {extra:,} are predicted that do not apply.",
    ]
    if material.rival is not None:
        other = (material.rival.outputs["predictions"].astype(bool) != targets).any(1)
        lines.append(
            f"{(wrong & ~other).sum():,} rows only {material.label} has wrong, {(other & ~wrong).sum():,} only "
            f"{material.rival.label}; {(wrong & other).sum():,} both."
        )
    return lines


def title(material: Material, predictions: np.ndarray, targets: np.ndarray, place: int) -> str:
    """HTML of the line above a row's text: which labels are missed, extra and right."""
    missed, extra, right = (
        named(material.spec.class_names, flags)
        for flags in (
            targets[place] & ~predictions[place],
            predictions[place] & ~targets[place],
            predictions[place] & targets[place],
        )
    )
    number = int(material.outputs["rows"][place])
    return (
        f"missed: <b>{missed}</b>; extra: <b>{extra}</b>; right: {right}; loss "
        f'{material.outputs["losses"][place]:.3g} <span class="soft">row {number:,}</span>'
    )


def named(names: Sequence[str], flags: np.ndarray) -> str:
    """HTML of the names of some classes."""
    return escape(", ".join(names[c] for c in np.flatnonzero(flags).tolist())) or "-"


def by_class(names: Sequence[str], predictions: np.ndarray, targets: np.ndarray) -> str:
    """A table of the classes, the lowest F1 first."""
    true, guessed, right = targets.sum(0), predictions.sum(0), (predictions & targets).sum(0)
    precision, recall, f1 = quotient(right, guessed), quotient(right, true), quotient(2 * right, guessed + true)
    header = ["class", "rows", "missed", "extra", "precision", "recall", "F1"]
    rows, values = [], list[list[object]]()
    for c in np.argsort(f1, kind="stable").tolist():
        counts = [int(true[c]), int(true[c] - right[c]), int(guessed[c] - right[c])]
        scores = [float(each[c]) for each in (precision, recall, f1)]
        rows.append([names[c], *(f"{count:,}" for count in counts), *(f"{score:.3f}" for score in scores)])
        values.append([names[c], *counts, *scores])
    return html_table(header, rows, values)

"""Two classifiers on the same rows: where they differ, as a section of a page."""

from html import escape

import numpy as np

from seqtrain.pages.html import html_table
from seqtrain.tasks.classification.errors import Predictions, confusion_differences
from seqtrain.tasks.group_differences import GroupDifferences, group_differences
from seqtrain.tasks.inspecting.material import Material, Section, sentences, soft
from seqtrain.tasks.inspecting.rates import percent
from seqtrain.tasks.inspecting.texts import Texts, cards

PAIRS = 15
CARDS = 5


def rival_sections(material: Material, found: Predictions, texts: Texts | None) -> list[Section]:
    """The sections on another run; none without one."""
    if material.rival is None:
        return []
    other = Predictions.of(material.rival.outputs)
    label, against = material.label, material.rival.label
    only_first, only_second = other.wrong & ~found.wrong, found.wrong & ~other.wrong
    whole = group_differences(only_first.astype(np.float64) - only_second, np.zeros(len(found.targets), np.int64), 1)
    lines = [
        f"{label} is right on {percent(1 - found.wrong.mean(), 2)} of the rows, {against} on "
        f"{percent(1 - other.wrong.mean(), 2)}: a difference of {points(whole, 0)}.",
        f"{only_first.sum():,} rows only {label} has right, {only_second.sum():,} only {against}; "
        f"{(found.wrong & other.wrong).sum():,} both have wrong.",
    ]
    parts = [sentences(lines), "<h3>Confusions that differ</h3>", confusion_table(material, found, other, against)]
    parts += ["<h3>Classes that differ</h3>", class_table(material, found, other, against)]
    for winner, loser, rows, loser_predictions in (
        (label, against, only_first, other),
        (against, label, only_second, found),
    ):
        parts += [
            f"<h3>Right by {escape(winner)} only</h3>",
            *lost_rows(material, loser_predictions, loser, rows, texts),
        ]
    return [Section(f"Against {against}", parts)]


def points(differences: GroupDifferences, place: int) -> str:
    """A difference of shares in points, with its interval."""
    value, lower, upper = (
        100 * float(each[place]) for each in (differences.value, differences.lower, differences.upper)
    )
    return f"{value:+.1f} points, 95 % interval {lower:+.1f} to {upper:+.1f}"


def confusion_table(material: Material, found: Predictions, other: Predictions, against: str) -> str:
    """Confusions with unequal numbers of rows, the largest difference first."""
    names = material.spec.class_names
    every = confusion_differences(found, other)
    if not every:
        return "<p>Both have the same confusions.</p>"
    header = ["true class", "taken for", material.label, against, "difference", "95 % interval", ""]
    rows, values = [], list[list[object]]()
    for each in every[:PAIRS]:
        ends = f"{100 * each.lower:+.1f} to {100 * each.upper:+.1f}"
        shown = "shown" if each.shown else ""
        rows.append([names[each.true], names[each.predicted], f"{each.first:,}", f"{each.second:,}",
                     f"{100 * each.value:+.1f}", ends, shown])  # fmt: skip
        values.append([names[each.true], names[each.predicted], each.first, each.second, each.value, each.lower, shown])
    clear = sum(each.shown for each in every)
    words = (
        f"The difference is in points of the rows of the true class. Of {len(every):,} pairs with unequal numbers, "
        f"{clear:,} have an interval without 0 (shown). Of pairs that do not differ, up to one in twenty has such an "
        "interval by chance."
    )
    return html_table(header, rows, values, text=2) + soft(words)


def class_table(material: Material, found: Predictions, other: Predictions, against: str) -> str:
    """The share of each class's rows that is right, of both, the largest difference first."""
    names = material.spec.class_names
    counts = np.bincount(found.targets, minlength=len(names))
    right = ~found.wrong, ~other.wrong
    differences = group_differences(right[0].astype(np.float64) - right[1], found.targets, len(names))
    shares = [np.bincount(found.targets, weights=each, minlength=len(names)) / np.maximum(counts, 1) for each in right]
    header = ["class", "rows", f"right by {material.label}", f"by {against}", "difference", "95 % interval", ""]
    rows, values = [], list[list[object]]()
    present = np.flatnonzero(counts)
    for c in present[np.argsort(-np.abs(differences.value[present]), kind="stable")].tolist():
        value, lower, upper = (float(each[c]) for each in (differences.value, differences.lower, differences.upper))
        shown = "shown" if differences.shown[c] else ""
        rows.append([names[c], f"{counts[c]:,}", percent(shares[0][c]), percent(shares[1][c]), f"{100 * value:+.1f}",
                     f"{100 * lower:+.1f} to {100 * upper:+.1f}", shown])  # fmt: skip
        values.append([names[c], counts[c], shares[0][c], shares[1][c], value, lower, shown])
    return html_table(header, rows, values)


def lost_rows(material: Material, loser: Predictions, name: str, rows: np.ndarray, texts: Texts | None) -> list[str]:
    """Cards of rows that one run has wrong and the other right, those first of which the first one is the most sure."""
    places = np.flatnonzero(rows)
    places = places[np.argsort(-loser.confidence[places], kind="stable")][:CARDS]
    names, titles = material.spec.class_names, []
    for place in places.tolist():
        titles.append(
            f"<b>{escape(names[loser.targets[place]])}</b>, by {escape(name)} taken for "
            f"<b>{escape(names[loser.guesses[place]])}</b> with probability {loser.confidence[place]:.3f} "
            f'<span class="soft">row {int(material.outputs["rows"][place]):,}</span>'
        )
    return cards(texts, titles, places.tolist(), []) or ["<p>There is none.</p>"]

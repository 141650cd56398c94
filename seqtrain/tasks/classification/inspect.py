"""The errors of a classifier as sections of a page."""

from collections.abc import Sequence
from html import escape

import numpy as np

from seqtrain.errors import RunError
from seqtrain.pages.html import html_table
from seqtrain.tasks.classification.errors import Predictions, confusions
from seqtrain.tasks.classification.label_noise import suspects
from seqtrain.tasks.classification.rival import rival_sections
from seqtrain.tasks.classification.tables import by_class, calibration, confused
from seqtrain.tasks.inspecting.material import Material, Section, sentences, soft
from seqtrain.tasks.inspecting.rates import interval, percent, wilson
from seqtrain.tasks.inspecting.texts import (
    Texts,
    attention_of,
    by_text,
    cards,
    legend,
    read_texts,
    rising,
)

CARDS = 12
"""Rows that are shown whole."""
ROWS = 10
"""Rows of a table of rows."""
SURE = 0.9
"""An error with a probability above is a confident one."""
HOW_TO_JUDGE_TRAIN = (
    "To judge every row of train, train with data.folds=5 and data.fold=0 to 4, and run seqtrain label-errors on the "
    "runs' folder."
)


def inspect(material: Material) -> list[Section]:
    """The sections of the page, in order."""
    found = Predictions.of(material.outputs)
    texts = read_texts(material)
    sections = [Section("In short", [sentences(summary(found, texts, material))])]
    sections += rival_sections(material, found, texts)
    sections.append(confident(found, texts, material))
    sections.append(confused(found, material.spec))
    sections.append(by_class(found, material.spec))
    if texts is not None:
        tables = [part for name, table in by_text(texts, found.wrong) for part in (f"<h3>By {name}</h3>", table)]
        sections.append(Section("Error by text", tables))
    sections.append(calibration(found))
    sections.append(extremes(found, texts, material))
    sections.append(unlikely(found, texts, material))
    return sections


def summary(found: Predictions, texts: Texts | None, material: Material) -> list[str]:
    """The page in a few sentences."""
    names, wrong, count = material.spec.class_names, found.wrong, len(found.targets)
    lower, upper = wilson(np.array([wrong.sum()]), np.array([count]))
    lines = [
        f"{wrong.sum():,} of {count:,} rows of {material.split} are wrong: {percent(wrong.mean())}, 95 % interval "
        f"{interval(lower[0], upper[0])}."
    ]
    if not wrong.any():
        return lines
    sure = int((found.confidence[wrong] >= SURE).sum())
    lines.append(
        f"In {sure:,} of them ({percent(sure / wrong.sum(), 0)}) the model is at least {percent(SURE, 0)} sure."
    )
    counts = found.counts()
    true, predicted = (places[0] for places in confusions(counts))
    lines.append(
        f"The most frequent confusion: {counts[true, predicted]:,} rows of {names[true]} are taken for "
        f"{names[predicted]}."
    )
    rows = counts.sum(1)
    rates = 1 - np.diag(counts) / np.maximum(rows, 1)
    lines.append(
        f"The class with the highest error is {names[rates.argmax()]}: {percent(rates.max())} of "
        f"{rows[rates.argmax()]:,} rows."
    )
    if texts is not None:
        for what, values in (("length", texts.lengths), ("share of unknown words", texts.unknown)):
            if rates_apart := rising(values, wrong):
                low, high = map(percent, rates_apart)
                lines.append(f"By {what}, the error is {low} in the lowest quarter of rows and {high} in the highest.")
    return lines


def title(found: Predictions, material: Material, place: int) -> str:
    """HTML of the line above a wrong row's text: what is true, and what is predicted."""
    true, guess = (escape(material.spec.class_names[numbers[place]]) for numbers in (found.targets, found.guesses))
    return (
        f"<b>{true}</b> taken for <b>{guess}</b> with probability {found.confidence[place]:.3f} "
        f"({found.of_true[place]:.3f} for the true class) "
        f'<span class="soft">row {int(material.outputs["rows"][place]):,}</span>'
    )


def confident(found: Predictions, texts: Texts | None, material: Material) -> Section:
    """The wrong rows of which the model is the most sure."""
    places = found.confident_errors(CARDS).tolist()
    if not places:
        return Section("Most confident errors", ["<p>There is no error.</p>"])
    attention = attention_of(material, texts, places)
    titles = [title(found, material, place) for place in places]
    return Section("Most confident errors", [soft(legend(texts, attention)), *cards(texts, titles, places, attention)])


def extremes(found: Predictions, texts: Texts | None, material: Material) -> Section:
    """The rows with the largest loss, and those of each class with the smallest."""
    hardest, easiest = found.hardest(ROWS).tolist(), found.easiest(max(1, ROWS // len(material.spec.class_names)))
    parts = ["<h3>Hardest: the largest loss</h3>", row_table(found, texts, material, hardest)]
    parts += ["<h3>Easiest of each class: the smallest loss</h3>", row_table(found, texts, material, easiest.tolist())]
    return Section("Hardest and easiest rows", parts)


def row_table(found: Predictions, texts: Texts | None, material: Material, places: Sequence[int]) -> str:
    """A table of rows."""
    names = material.spec.class_names
    header = ["row", "true class", "predicted", *["text"] * (texts is not None), "loss", "of the true class"]
    rows, values = [], list[list[object]]()
    for place in places:
        number = int(material.outputs["rows"][place])
        classes = [names[found.targets[place]], names[found.guesses[place]]]
        excerpt = [] if texts is None else [texts.excerpt(place)]
        loss, of_true = float(found.losses[place]), float(found.of_true[place])
        rows.append([f"{number:,}", *classes, *excerpt, f"{loss:.3g}", f"{of_true:.3g}"])
        values.append([number, *classes, *["-"] * len(excerpt), loss, of_true])
    return html_table(header, rows, values, text=3 + (texts is not None))


def unlikely(found: Predictions, texts: Texts | None, material: Material) -> Section:
    """The rows whose given label may be wrong."""
    heading = "Labels that may be wrong"
    try:
        doubted = suspects(found.probabilities, found.targets)
    except RunError as error:
        return Section(heading, [f"<p>{escape(str(error))}</p>", soft(HOW_TO_JUDGE_TRAIN)])
    names, count = material.spec.class_names, len(material.outputs["targets"])
    words = (
        f"{len(doubted):,} of {count:,} rows of {material.split} ({percent(len(doubted) / count)}) have a label that "
        "is unlikely by confident learning, from probabilities of a model that was not trained on them. Many are "
        "errors of the model: look before you change a label."
    )
    parts = [f"<p>{escape(words)}</p>"]
    header = ["row", "label", "likely label", *["text"] * (texts is not None), "of the label", "of the likely one"]
    rows, values = [], list[list[object]]()
    for each in doubted[: 2 * ROWS]:
        number = int(material.outputs["rows"][each.place])
        classes = [names[each.given], names[each.likely]]
        excerpt = [] if texts is None else [texts.excerpt(each.place)]
        shares = [each.given_probability, each.likely_probability]
        rows.append([f"{number:,}", *classes, *excerpt, *(f"{share:.3g}" for share in shares)])
        values.append([number, *classes, *["-"] * len(excerpt), *shares])
    if rows:
        parts.append(html_table(header, rows, values, text=3 + (texts is not None)))
    return Section(heading, [*parts, soft(HOW_TO_JUDGE_TRAIN)])

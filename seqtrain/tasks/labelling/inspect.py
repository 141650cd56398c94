"""The errors of a tagger as sections of a page.

Shapes: N sequences, T steps of all of them, C labels.
"""

from html import escape

import numpy as np

from seqtrain.data.spec import DataSpec
from seqtrain.data.tags.dataset import TaggingFiles
from seqtrain.data.tags.words import UNKNOWN_ID
from seqtrain.tasks.classification.errors import Predictions
from seqtrain.tasks.classification.tables import by_class, calibration, confused
from seqtrain.tasks.inspecting.material import Material, Section, sentences, soft
from seqtrain.tasks.inspecting.rates import binned_rates, interval, percent, rate_table, wilson
from seqtrain.tasks.labelling.statistics import per_sequence

CARDS = 12
UNIT = "steps"


def inspect(material: Material) -> list[Section]:
    """The sections of the page, in order."""
    outputs, spec = material.outputs, material.spec
    found, lengths = Predictions.of(outputs), outputs["lengths"]
    losses = per_sequence(found.losses, outputs)
    tokens = tokens_of(material)
    position = np.concatenate([np.arange(length) for length in lengths]) + 1
    sections = [Section("In short", [sentences(summary(found, material))])]
    sections.append(Section("Sequences with the largest loss", worst(found, losses, tokens, material)))
    sections += [confused(found, spec, UNIT), by_class(found, spec, UNIT)]
    parts = ["<h3>By place in the sequence</h3>", binned_rates(position, found.wrong, "step", True, UNIT)]
    per_step = np.repeat(lengths, lengths)
    parts += ["<h3>By length of the sequence</h3>", binned_rates(per_step, found.wrong, "steps in all", True, UNIT)]
    if isinstance(material.data, TaggingFiles):
        unknown = np.asarray(material.data.tokens[material.split].tokens) == UNKNOWN_ID
        groups = [~unknown, unknown]
        wrong, counts = ([int(each.sum()) for each in side] for side in ([found.wrong & g for g in groups], groups))
        table = rate_table(["in the vocabulary", "unknown"], np.array(wrong), np.array(counts), "word", UNIT)
        parts += ["<h3>By whether the word is known</h3>", table]
    sections.append(Section("Error by step", parts))
    sections.append(calibration(found, UNIT))
    return sections


def summary(found: Predictions, material: Material) -> list[str]:
    """The page in a few sentences."""
    wrong, outputs = found.wrong, material.outputs
    per_row = per_sequence(wrong, outputs)
    lower, upper = wilson(np.array([(per_row > 0).sum()]), np.array([len(per_row)]))
    lines = [
        f"{wrong.sum():,} of {len(wrong):,} steps of {material.split} are wrong: {percent(wrong.mean())}.",
        f"{(per_row > 0).sum():,} of {len(per_row):,} sequences have an error: {percent((per_row > 0).mean())}, 95 % "
        f"interval {interval(lower[0], upper[0])}.",
    ]
    if material.rival is not None:
        other = Predictions.of(material.rival.outputs).wrong
        lines.append(
            f"{(wrong & ~other).sum():,} steps only {material.label} has wrong, {(other & ~wrong).sum():,} only "
            f"{material.rival.label}; {(wrong & other).sum():,} both."
        )
    return lines


def tokens_of(material: Material) -> list[list[str]] | None:
    """The tokens of each sequence as they are in the source; None without such."""
    if not isinstance(material.data, TaggingFiles):
        return None
    return material.data.labelled_tokens(material.split)[0]


def worst(found: Predictions, losses: np.ndarray, tokens: list[list[str]] | None, material: Material) -> list[str]:
    """Cards of the sequences with the largest loss in all, their wrong steps marked."""
    starts = np.concatenate([[0], np.cumsum(material.outputs["lengths"])])
    parts = [soft("Wrong steps are marked: what is true, and what is predicted.")]
    for row in np.argsort(-losses, kind="stable")[:CARDS].tolist():
        steps = np.arange(starts[row], starts[row + 1])
        names = tokens[row] if tokens is not None else ["·"] * len(steps)
        words = [step_html(found, material.spec, step, name) for step, name in zip(steps, names, strict=True)]
        wrong = int(found.wrong[steps].sum())
        title = f"<b>{wrong}</b> of {len(steps)} steps wrong, loss {losses[row]:.3g}"
        number = f'<span class="soft">row {int(material.outputs["rows"][row]):,}</span>'
        parts.append(f'<article class="card"><p>{title} {number}</p><p class="text">{" ".join(words)}</p></article>')
    return parts


def step_html(found: Predictions, spec: DataSpec, step: int, name: str) -> str:
    """A step as HTML: its name and, if it is wrong, the true label and the predicted one."""
    if not found.wrong[step]:
        return escape(name)
    true, guess = (spec.class_names[numbers[step]] for numbers in (found.targets, found.guesses))
    return (
        f'<span style="background:rgba(217,122,7,0.35)">{escape(name)}</span> '
        f'<span class="soft">({escape(true)}, predicted {escape(guess)})</span>'
    )

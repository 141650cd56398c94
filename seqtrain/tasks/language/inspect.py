"""The losses of a language model as sections of a page.

Shapes: N tokens that are predicted, V tokens of the vocabulary.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from seqtrain.data.corpus.dataset import RunningText
from seqtrain.pages.html import Html, bar, html_table
from seqtrain.pages.svg import above, canvas, colour, draw
from seqtrain.tasks.inspecting.material import Material, Section, sentences, soft
from seqtrain.tasks.inspecting.rates import frequency_bins, percent, place_bins
from seqtrain.tasks.language.heat_map import heat_map, readable
from seqtrain.tasks.language.losses import (
    Floats,
    Integers,
    Pieces,
    Stream,
    half_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LETTERS = 320
"""Letters of a piece of text, about."""
LEAST_TOKENS, MOST_TOKENS = 32, 320
"""Tokens of a piece."""
PIECES = 8
"""Pieces with the largest loss; half as many with the smallest."""
TOKENS = 30
"""Tokens with the largest sum of losses."""
POINTS = 100
"""Points of the curve of the loss along the split."""
RARE = 100
"""Below so many times in train, a token is called rare."""


def inspect(material: Material) -> list[Section]:
    """The sections of the page, in order."""
    losses = losses_of(material.outputs["log_probabilities"])
    other = None if material.rival is None else losses_of(material.rival.outputs["log_probabilities"])
    stream = Stream(material.data, material.split, losses) if isinstance(material.data, RunningText) else None
    sections = [Section("In short", [sentences(summary(material, losses, other, stream))])]
    if stream is not None:
        size = piece_size(stream)
        pieces = Pieces.of(stream.documents, len(stream.tokens), size)
        if material.rival is not None and other is not None:
            sections += rival_sections(stream, pieces, size, losses - other, (material.label, material.rival.label))
        sections.append(hard_and_easy(stream, pieces, size, material.spec.vocab_size or 2))
    sections.append(by_place(material, losses, other, stream))
    if stream is not None:
        sections.append(by_frequency(material, stream, other))
        sections.append(costly(stream))
    return sections


def losses_of(log_probabilities: np.ndarray) -> Floats:
    """Losses of log-probabilities, float64."""
    return -log_probabilities.astype(np.float64)


def piece_size(stream: Stream) -> int:
    """Number of tokens of a piece with about ``LETTERS`` letters."""
    letters = stream.data.token_lengths[0][stream.targets].mean()
    return int(np.clip(LETTERS / max(letters, 1.0), LEAST_TOKENS, MOST_TOKENS))


def summary(material: Material, losses: Floats, other: Floats | None, stream: Stream | None) -> list[str]:
    """The page in a few sentences."""
    half = half_of(losses)
    lines = [
        f"{len(losses):,} tokens of {material.split}: loss {losses.mean():.4g} nats per token, perplexity "
        f"{math.exp(min(losses.mean(), 700)):.4g}.",
        f"Half of the loss is in {half:,} tokens ({percent(half / len(losses))}).",
    ]
    if stream is not None:
        rare = stream.trained[stream.targets] < RARE
        if rare.any() and not rare.all():
            lines.append(
                f"Tokens that train has fewer than {RARE} times are {percent(rare.mean())} of all, and have "
                f"{percent(losses[rare].sum() / losses.sum())} of the loss: {losses[rare].mean():.3g} nats each, where "
                f"the others have {losses[~rare].mean():.3g}."
            )
        if len(stream.documents) > 1 and (later := stream.places > 64).any():
            early = stream.places <= 16
            lines.append(
                f"In the first 16 tokens of a document the loss is {losses[early].mean():.3g}, after 64 tokens "
                f"{losses[later].mean():.3g}."
            )
    if other is not None and material.rival is not None:
        lines.append(
            f"{material.rival.label} has loss {other.mean():.4g}; {material.label} gives "
            f"{percent(float((losses < other).mean()))} of the tokens a higher probability. seqtrain compare has the "
            "interval of the difference."
        )
    return lines


def cards(
    stream: Stream, pieces: Pieces, chosen: Sequence[int], values: Floats, full: float, size: int, what: str
) -> list[str]:
    """Pieces of text, each with the mean of its values."""
    means, made = pieces.means(values), []
    for number in chosen:
        start, stop = int(pieces.starts[number]), int(pieces.stops[number])
        title = f'<span class="soft">tokens {start:,} to {stop - 1:,}:</span> {what} <b>{means[number]:.3g}</b> nats'
        text = heat_map(stream, values, start, stop, size // 4, full)
        made.append(f'<article class="card"><p>{title}</p><p class="text heat">{text}</p></article>')
    return made


def hard_and_easy(stream: Stream, pieces: Pieces, size: int, vocabulary: int) -> Section:
    """The pieces with the largest mean loss, and those with the smallest."""
    full, means = math.log(vocabulary), pieces.means(stream.losses)
    hard, easy = pieces.ranked(means, size, PIECES), pieces.ranked(-means, size, PIECES // 2)
    legend = (
        f"The background of a token is as strong as its loss, up to {full:.3g} nats: that of a guess among all "
        f"{vocabulary:,} tokens of the vocabulary. Grey: the text before. A piece has {size} tokens, or the rest of a "
        "document. The loss of a token stands where the pointer rests."
    )
    parts = [soft(legend), *cards(stream, pieces, hard, stream.losses, full, size, "mean loss")]
    parts.append("<h3>Smallest loss</h3>")
    parts += cards(stream, pieces, [each for each in easy if each not in hard], stream.losses, full, size, "mean loss")
    return Section("Text with the largest loss", parts)


def rival_sections(stream: Stream, pieces: Pieces, size: int, gaps: Floats, labels: tuple[str, str]) -> list[Section]:
    """The pieces of text in which each of two runs loses more than the other; ``gaps``: losses of the first less."""
    full, means = max(float(np.quantile(np.abs(gaps), 0.99)), 1e-9), pieces.means(gaps)
    legend = (
        f"Orange: {labels[0]} has the larger loss; blue: {labels[1]} has. Full colour from a difference of {full:.2g} "
        "nats."
    )
    sections = []
    for label, sign in zip(labels, (-1, 1), strict=True):
        chosen = [each for each in pieces.ranked(sign * means, size, PIECES // 2) if sign * means[each] > 0]
        shown = cards(stream, pieces, chosen, gaps, full, size, "difference of the mean losses")
        sections.append(Section(f"Text that {label} predicts better", [soft(legend), *shown]))
    return sections


def mean_table(
    names: Sequence[str], groups: Integers, losses: Floats, other: Floats | None, first: str, labels: Sequence[str]
) -> str:
    """A table of groups of tokens: their number, mean loss and share of the whole loss.

    Args:
        names: the groups.
        groups: number of each token's group, (N,).
        losses: losses of the run, (N,).
        other: those of a second run.
        first: heading of the groups.
        labels: the runs.
    """
    counts, sums = (np.bincount(groups, weights, len(names)) for weights in (None, losses))
    means = sums / np.maximum(counts, 1)
    second = None if other is None else np.bincount(groups, other, len(names)) / np.maximum(counts, 1)
    heads = ["mean loss"] if second is None else [f"mean loss, {label}" for label in labels]
    header = [first, "tokens", "of all", *heads, "", "of the loss"]
    rows, values = [], list[list[object]]()
    for g in np.flatnonzero(counts).tolist():
        own = [float(means[g]), *([] if second is None else [float(second[g])])]
        shares = float(counts[g] / len(losses)), float(sums[g] / losses.sum())
        length = Html(bar(means[g] / means.max()))
        rows.append([names[g], f"{int(counts[g]):,}", percent(shares[0]), *(f"{each:.3f}" for each in own), length,
                     percent(shares[1])])  # fmt: skip
        values.append([g, int(counts[g]), shares[0], *own, own[0], shares[1]])
    return html_table(header, rows, values)


def labels_of(material: Material) -> list[str]:
    """The runs."""
    return [material.label] if material.rival is None else [material.label, material.rival.label]


def by_place(material: Material, losses: Floats, other: Floats | None, stream: Stream | None) -> Section:
    """The loss along the split, by place in the document and by step of the segment."""
    labels = labels_of(material)
    curves = [losses] if other is None else [losses, other]
    drawn = draw(along_figure, curves, labels)
    parts = [f'<h3>Along the split</h3><div class="figures"><figure>{drawn}</figure></div>']
    if stream is not None and len(stream.documents) > 1:
        numbers, names = place_bins(stream.places)
        parts += ["<h3>By place in the document</h3>", mean_table(names, numbers, losses, other, "token", labels)]
    if (length := material.spec.segment_length or 1) > 1:
        numbers, names = place_bins(np.arange(len(losses)) % length + 1)
        remark = (
            "Even if the state is carried from segment to segment. If each segment starts without a state "
            "(data.state=reset_batch), the loss falls from step to step."
        )
        table = mean_table(names, numbers, losses, other, "step", labels)
        parts += ["<h3>By step of the segment</h3>", table, soft(remark)]
    return Section("Loss by place", parts)


def along_figure(curves: Sequence[Floats], labels: Sequence[str]) -> "Figure":
    """Mean losses of at most ``POINTS`` equal parts of the split."""
    figure, axes = canvas(2.6)
    for place, (losses, label) in enumerate(zip(curves, labels, strict=True)):
        parts = np.array_split(losses, min(POINTS, len(losses)))
        ends = np.cumsum([len(part) for part in parts])
        axes.plot(ends, [part.mean() for part in parts], color=colour(place), linewidth=1.2, label=label)
    axes.set(xlabel="token of the split", ylabel="nats per token")
    if len(curves) > 1:
        above(axes)
    return figure


def by_frequency(material: Material, stream: Stream, other: Floats | None) -> Section:
    """The loss by how often train has a token."""
    numbers, names = frequency_bins(stream.trained[stream.targets])
    table = mean_table(names, numbers, stream.losses, other, "times in train", labels_of(material))
    return Section("Loss by frequency of the token", [table])


def costly(stream: Stream) -> Section:
    """The tokens of the vocabulary with the largest sum of losses."""
    V = len(stream.trained)
    counts, sums = (np.bincount(stream.targets, weights, V) for weights in (None, stream.losses))
    tokens = stream.data.token_names()
    rows, values = [], list[list[object]]()
    for token in np.argsort(-sums, kind="stable")[: min(TOKENS, np.count_nonzero(counts))].tolist():
        numbers = int(counts[token]), int(stream.trained[token])
        mean, share = float(sums[token] / counts[token]), float(sums[token] / stream.losses.sum())
        name = Html(f"<code>{escape(readable(tokens[token]))}</code>")
        rows.append([name, *(f"{number:,}" for number in numbers), f"{mean:.3f}", percent(share, 2)])
        values.append([tokens[token], *numbers, mean, share])
    header = ["token", f"in {stream.split}", "in train", "mean loss", "of the loss"]
    remark = "A frequent token with a small loss can cost more in all than a rare one that the model never expects."
    return Section("Tokens that cost the most", [html_table(header, rows, values), soft(remark)])

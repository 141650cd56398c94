"""The texts of a split, read from the source again, and rows of it as cards with their attention.

Shapes: N rows, T tokens of a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np

from seqtrain.data.text.classification import TextClassification
from seqtrain.data.vocabulary import UNKNOWN
from seqtrain.errors import DataError
from seqtrain.layers.attention import recorded_weights
from seqtrain.pages.html import Html
from seqtrain.tasks.explaining.attention import attends, attention_over_steps
from seqtrain.tasks.inspecting.material import Material
from seqtrain.tasks.inspecting.rates import binned_rates, quantile_bins, wilson
from seqtrain.tasks.predicting import Trained

MOST_TOKENS = 160
"""Of a text on the page; of a longer one, the neighbouring tokens with the most attention are shown."""
MOST_LETTERS = 160
"""Of a text in a table."""
STRONGEST = 0.6
"""Opacity of the background of the token with the most attention."""


@dataclass(frozen=True)
class Texts:
    """The texts of a split and their tokens."""

    data: TextClassification
    split: str
    texts: list[str]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each whole text, (N,)."""
        return np.diff(self.data.tokens[self.split].offsets)

    @cached_property
    def unknown(self) -> np.ndarray:
        """Share of tokens that the vocabulary does not have, of each whole text, (N,)."""
        rows = self.data.tokens[self.split]
        unknown = rows.tokens[:] == self.data.tokenizer.token_to_id(UNKNOWN)
        return np.add.reduceat(unknown.astype(np.float64), rows.offsets[:-1]) / self.lengths

    @property
    def limit(self) -> int:
        """Number of tokens that the model reads of a longer text."""
        return self.data.config.max_length

    def spans(self, place: int) -> tuple[list[tuple[int, int]], list[bool], np.ndarray]:
        """Where the tokens of a row are in its text.

        Returns:
            First letter of each token and the one after its last; whether the vocabulary lacks it; and the numbers of
            the tokens that the model reads.
        """
        tokenizer, rows = self.data.tokenizer, self.data.tokens[self.split]
        tokenizer.encode_special_tokens = True
        encoding = tokenizer.encode(self.texts[place], add_special_tokens=False)
        position = np.arange(rows.lengths[place])
        read = position + (position >= rows.head) * rows.skipped[place]
        unknown = tokenizer.token_to_id(UNKNOWN)
        return encoding.offsets, [token == unknown for token in encoding.ids], read

    def attention(self, trained: Trained, places: np.ndarray) -> list[np.ndarray]:
        """Weight of each token that the model reads, (T,) for each of the rows; empty if it has no attention."""
        if not attends(trained.model):
            return []
        batch = self.data.batch(self.split, places)
        with recorded_weights(trained.model) as recorded:
            list(trained.each_batch([batch], lambda batch, features: None))
        weights = attention_over_steps(trained.model, recorded, batch.lengths.to(trained.device)).cpu().numpy()
        return [row[:length] for row, length in zip(weights, batch.lengths.tolist(), strict=True)]

    def excerpt(self, place: int) -> Html:
        """The beginning of a text, for a table."""
        text = " ".join(self.texts[place].split())
        cut = text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
        return Html(f'<div class="excerpt">{escape(cut)}</div>')


def read_texts(material: Material) -> Texts | None:
    """The texts of the split; None, with a line in ``missing``, where they cannot be read from the source."""
    data = material.data
    if not isinstance(data, TextClassification):
        if data is not None:
            material.missing.append("the data has no texts, so that rows are named by their number")
        return None
    try:
        return Texts(data, material.split, data.labelled_split(material.split)[0])
    except DataError as error:
        material.missing.append(f"the texts cannot be read from the source, and are left out: {error}")
        return None


def attention_of(material: Material, texts: Texts | None, places: Sequence[int]) -> list[np.ndarray]:
    """Attention of the model to the rows at some places, see ``Texts.attention``; empty if it cannot be computed."""
    if texts is None or material.trained is None or not len(places):
        return []
    return texts.attention(material.trained(), np.array(places))


def marked_text(texts: Texts, place: int, weights: np.ndarray | None) -> str:
    """A text as HTML: the background of a token is as strong as its weight, unknown and unread tokens are marked.

    Args:
        texts: the texts.
        place: the row.
        weights: weight of each token that the model reads, (T,); None for none.
    """
    offsets, unknown, read = texts.spans(place)
    text = "".join(" " if letter.isspace() else letter for letter in texts.texts[place])
    strengths = np.zeros(len(offsets))
    is_read = np.zeros(len(offsets), dtype=bool)
    if len(offsets):
        is_read[read] = True
    if weights is not None and len(offsets):
        strengths[read] = STRONGEST * weights / max(weights.max(), 4 / len(weights))  # equal weights are pale
    start = heaviest(strengths, MOST_TOKENS)
    stop = min(start + MOST_TOKENS, len(offsets))
    if not len(offsets):
        return escape(text)
    begin, end = (0 if start == 0 else offsets[start][0]), (len(text) if stop == len(offsets) else offsets[stop - 1][1])
    parts = [f'<span class="soft">… {start} tokens before</span> '] if start else []
    at = begin
    for token in range(start, stop):
        first, last = offsets[token]
        parts.append(escape(text[at:first]))
        parts.append(token_html(text[first:last], strengths[token], unknown[token], bool(is_read[token])))
        at = max(at, last)
    parts.append(escape(text[at:end]))
    if stop < len(offsets):
        parts.append(f' <span class="soft">… {len(offsets) - stop} tokens after</span>')
    return "".join(parts)


def token_html(text: str, strength: float, unknown: bool, read: bool) -> str:
    """A token as HTML."""
    classes = ["unknown"] * unknown + ["unread"] * (not read)
    if not classes and strength < 0.01:
        return escape(text)
    style = f' style="background:rgba(217,122,7,{strength:.2f})"' if strength >= 0.01 else ""
    named = f' class="{" ".join(classes)}"' if classes else ""
    return f"<span{named}{style}>{escape(text)}</span>"


def heaviest(strengths: np.ndarray, size: int) -> int:
    """Start of the ``size`` neighbouring values with the largest sum; 0 if there are not more."""
    if len(strengths) <= size:
        return 0
    sums = np.concatenate([[0.0], np.cumsum(strengths)])
    return int(np.argmax(sums[size:] - sums[:-size]))


def cards(
    texts: Texts | None, titles: Sequence[str], places: Sequence[int], attention: Sequence[np.ndarray]
) -> list[str]:
    """Rows of the data, each with a line on it and its text.

    Args:
        texts: the texts; None if they cannot be read.
        titles: HTML of the line above each row.
        places: the rows.
        attention: weights of the tokens of each row; empty for none.
    """
    made = []
    for i, (title, place) in enumerate(zip(titles, places, strict=True)):
        text = "" if texts is None else marked_text(texts, place, attention[i] if attention else None)
        body = f'<p class="text">{text}</p>' if texts is not None else ""
        made.append(f'<article class="card"><p>{title}</p>{body}</article>')
    return made


def legend(texts: Texts | None, attention: Sequence[np.ndarray]) -> str:
    """How to read the cards, as text; empty without texts."""
    if texts is None:
        return "Rows are named by their number in the source."
    shown = "The background of a word is as strong as the attention on it. " if attention else ""
    return (
        f"{shown}Dotted underline: the vocabulary lacks the word. Grey: the model does not read it (data.max_length)."
    )


def by_text(texts: Texts, wrong: np.ndarray) -> list[tuple[str, str]]:
    """Error rates by length and by share of unknown words: name and table of each."""
    tables = [("length", binned_rates(texts.lengths, wrong, "tokens", whole=True))]
    if texts.unknown.any():
        tables.append(("share of unknown words", binned_rates(texts.unknown, wrong, "unknown", whole=False)))
    return tables


def rising(values: np.ndarray, wrong: np.ndarray) -> tuple[float, float] | None:
    """Error rates of the lowest and the highest quarter of a value, where their 95 % intervals are apart; else None."""
    numbers, ends = quantile_bins(values, 4)
    if len(ends) < 2:
        return None
    counts = np.bincount(numbers, minlength=len(ends))
    bad = np.bincount(numbers, weights=wrong, minlength=len(ends)).astype(np.int64)
    lower, upper = wilson(bad, counts)
    apart = upper[0] < lower[-1] or upper[-1] < lower[0]
    return (bad[0] / counts[0], bad[-1] / counts[-1]) if apart else None

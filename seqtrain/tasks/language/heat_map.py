"""Pieces of running text with the losses of their tokens: as HTML with coloured tokens, and as Markdown."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from seqtrain.data.corpus.tokenizers import REPLACEMENT, ByteTokenizer
from seqtrain.tasks.drawing import escape_markdown
from seqtrain.tasks.language.losses import Floats, Stream

MOST_BYTES = 4
"""Of a letter in UTF-8."""
STRONGEST = 0.75
"""Opacity of the background of a token with the largest loss that is told apart."""
WORSE, BETTER = "217,122,7", "66,105,208"
"""Colours of positive and of negative values."""


def token_texts(stream: Stream, start: int, stop: int) -> list[tuple[str, int]]:
    """The text of the tokens from position ``start`` to before ``stop``, in parts.

    Returns:
        Each part with the number of its tokens. A part is a token, or the tokens that are a letter together.
    """
    tokens, parts, before, count = stream.tokens[start:stop].tolist(), list[tuple[str, int]](), "", 0
    has_parts = isinstance(stream.data.tokenizer, ByteTokenizer)  # of letters
    for place in range(len(tokens)):
        text, count = stream.data.decode(tokens[: place + 1]), count + 1
        if has_parts and text.endswith(REPLACEMENT) and place + 1 < len(tokens) and count < MOST_BYTES:
            continue
        parts.append((text[len(before) :], count))
        before, count = text, 0
    return parts


def heat_map(stream: Stream, values: Floats, start: int, stop: int, context: int, full: float) -> str:
    """A piece of text as HTML, after the tokens before it in grey.

    Args:
        stream: the tokens.
        values: a value of each predicted token, (N,); orange where it is positive, blue where it is negative.
        start: position of the first token.
        stop: one after the position of the last one.
        context: number of tokens before it.
        full: value with the full colour.
    """
    document = stream.documents[np.searchsorted(stream.documents, start, side="right") - 1]
    first = max(int(document), start - context)
    shown, at, before = [], first, ""
    for text, count in token_texts(stream, first, stop):
        if at < start:
            before += text
        else:
            own = slice(at - 1, at - 1 + count)
            shown.append(token_html(visible(text), values[own], stream.trained[stream.targets[own]].tolist(), full))
        at += count
    return f'<span class="unread">{escape(visible(before))}</span>{"".join(shown)}'


def token_html(text: str, values: Floats, counts: Sequence[int], full: float) -> str:
    """A token as HTML; its loss and how often train has it are shown where the pointer rests."""
    value = float(values.sum())
    strength = STRONGEST * min(abs(value) / full, 1.0)
    colour = WORSE if value > 0 else BETTER
    title = f"{value:.2f} nats, {', '.join(f'{count:,}' for count in counts)} in train"
    style = f' style="background:rgba({colour},{strength:.2f})"' if strength >= 0.01 else ""
    return f'<span title="{title}"{style}>{escape(text)}</span>'


def visible(text: str) -> str:
    """A text whose line ends can be seen."""
    return text.replace("\n", "⏎\n")


def loss_text(first: str, names: Sequence[str], losses: NDArray[np.floating]) -> str:
    """A text as Markdown: the tenth of its tokens with the largest losses in bold, and a table of the ten largest.

    Args:
        first: name of the first token, which is not predicted.
        names: names of the tokens after it, (T,).
        losses: their losses in nats, (T,).
    """
    cells = [escape_markdown(readable(name)) for name in names]
    order = np.argsort(-losses, kind="stable").tolist()
    bold = set(order[: math.ceil(len(names) / 10)])
    text = " ".join(f"**{cell}**" if place in bold else cell for place, cell in enumerate(cells))
    rows = [f"| {cells[place]} | {losses[place]:.3f} |" for place in order[:10]]
    head = f"mean loss {losses.mean():.3f} nats"
    return "\n".join(
        [head, "", f"{escape_markdown(readable(first))} {text}", "", "| token | loss |", "| --- | ---: |", *rows]
    )


def readable(token: str) -> str:
    """The name of a token for a table, with a sign for each blank, tab and line end."""
    return token.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")

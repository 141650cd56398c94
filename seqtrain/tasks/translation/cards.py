"""Pairs of texts as cards of a page: source, reference and translations side by side, and their alignment.

Shapes: S source tokens, T tokens of the translation.
"""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from seqtrain.data.pairs.dataset import PairData
from seqtrain.tasks.drawing import visible
from seqtrain.tasks.inspecting.material import Material
from seqtrain.tasks.translation.errors import Translated, unlike
from seqtrain.tasks.translation.illustration import alignments
from seqtrain.tasks.translation.search import search

UNLIKE = "rgba(217,122,7,0.3)"
"""Background of words without a partner."""
STRONGEST = 0.8
"""Opacity of the background of an attention weight of 1."""
MOST_TOKENS = 40
"""Of a side of an alignment."""
LEGEND = (
    "Orange: words of a translation that the reference lacks at this place, and words of the reference that the first "
    "translation lacks."
)


def card(title: str, texts: Sequence[tuple[str, str]], more: str = "") -> str:
    """A card with a line on a pair, and its texts side by side.

    Args:
        title: HTML of the line.
        texts: name and HTML of each text.
        more: HTML below the texts.
    """
    sides = "".join(f'<div><p class="soft">{escape(name)}</p><p class="text">{text}</p></div>' for name, text in texts)
    return f'<article class="card"><p>{title}</p><div class="sides">{sides}</div>{more}</article>'


def pair_texts(
    data: PairData | None, split: str, place: int, outputs: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Name and HTML of the texts of a pair: source and reference, if they can be read, and translations.

    Args:
        data: the pairs; None if the source is gone.
        split: the split.
        place: place of the pair in the split.
        outputs: name and text of each translation.
    """
    if data is None:
        return [(name, escape(text)) for name, text in outputs]
    source, reference = (data.texts(split, side).at([place])[0] for side in ("source", "target"))
    words = reference.split()
    apart = [unlike(words, text.split()) for _, text in outputs]
    made = [(name, marked(text.split(), flags[1])) for (name, text), flags in zip(outputs, apart, strict=True)]
    return [("source", escape(source)), ("reference", marked(words, apart[0][0])), *made]


def marked(words: Sequence[str], apart: Sequence[bool]) -> str:
    """Words as HTML, those without a partner with a coloured background."""
    return " ".join(
        f'<span style="background:{UNLIKE}">{escape(word)}</span>' if alone else escape(word)
        for word, alone in zip(words, apart, strict=True)
    )


def score_title(found: Translated, place: int) -> str:
    """HTML of the scores of a pair, and its number in the source."""
    return (
        f"chrF <b>{found.chrf[place]:.1f}</b>, BLEU {found.bleu[place]:.1f}, loss of the reference "
        f'{found.losses[place]:.3g} <span class="soft">row {int(found.outputs["rows"][place]):,}</span>'
    )


def alignment_tables(material: Material, data: PairData, places: Sequence[int]) -> list[str]:
    """What the model attends to as it writes the translations of pairs; empty without attention to the source.

    Args:
        material: the run.
        data: the pairs.
        places: places of the pairs in the split.
    """
    if material.trained is None or not len(places):
        return []
    trained, batch = material.trained(), data.batch(material.split, np.array(places))
    trained.model.eval()
    trained.head.eval()
    found = search(trained.model, trained.head, batch.to(trained.device), trained.config.task)  # type: ignore[arg-type]
    written = [best.tokens for best, *_ in found]
    tables = []
    for i, weights in enumerate(alignments(trained.model, batch, written, trained.device)):
        source = data.vocabularies.names("source", batch.inputs[i, : weights.shape[1]].tolist())
        tables.append(alignment_table(source, data.vocabularies.names("target", written[i]), weights))
    return tables


def alignment_table(source: Sequence[str], target: Sequence[str], weights: NDArray[np.floating]) -> str:
    """A table with a line for each token of a translation, and a column for each source token.

    Args:
        source: names of the source tokens, (S,).
        target: names of the tokens of the translation, (T,).
        weights: attention weights, (T, S).
    """
    heads = "".join(f'<th scope="col"><span>{escape(visible(name))}</span></th>' for name in source[:MOST_TOKENS])
    lines = []
    for name, row in zip(target[:MOST_TOKENS], weights.tolist(), strict=False):
        cells = "".join(
            f'<td title="{weight:.2f}" style="background:rgba(66,105,208,{STRONGEST * min(weight, 1.0):.2f})"></td>'
            for weight in row[:MOST_TOKENS]
        )
        lines.append(f'<tr><th scope="row" class="text">{escape(visible(name))}</th>{cells}</tr>')
    longest = max(len(source), len(target))
    cut = f'<p class="soft">The first {MOST_TOKENS} tokens of each side.</p>' if longest > MOST_TOKENS else ""
    head, body = f"<thead><tr><th></th>{heads}</tr></thead>", "\n".join(lines)
    return f'<div class="scroll"><table class="alignment">{head}\n<tbody>{body}</tbody></table></div>{cut}'

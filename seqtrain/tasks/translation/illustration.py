"""Translations of a few pairs of validation, as texts and as alignments of both sentences.

Shapes: B batch, S source tokens, T target tokens.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seqtrain.config.translation import TranslationConfig
from seqtrain.data.pairs.batch import PairBatch
from seqtrain.data.pairs.dataset import PairData, pair_batch
from seqtrain.data.pairs.vocabularies import PAD_ID
from seqtrain.layers.attention import recorded_weights
from seqtrain.tasks.translation.search import Writer, search

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES = 4
"""Number of translations."""


def draw_translations(
    model: nn.Module, head: nn.Module, data: PairData, device: torch.device, config: TranslationConfig
) -> tuple[dict[str, "Figure"], dict[str, str]]:
    """Alignments, if the model attends to the source, and translations beside the references, by tag.

    Args:
        model: the model, in evaluation mode.
        head: map from features to logits.
        data: the pairs.
        device: device of model and head.
        config: the search.
    """
    from seqtrain.tasks.translation.figures import alignment_figure

    batch, _ = data.examples("validation", SAMPLES)
    written = [best.tokens for best, *_ in search(model, head, batch.to(device), config)]
    sources, references = (data.texts("validation", side).at(batch.rows.tolist()) for side in ("source", "target"))
    columns = zip(sources, references, data.vocabularies.decode(written), strict=True)
    texts = {f"translation/{i}": sample_text(*row) for i, row in enumerate(columns)}
    figures = {}
    for i, weights in enumerate(alignments(model, batch, written, device)):
        source = data.vocabularies.names("source", batch.inputs[i, : weights.shape[1]].tolist())
        target = data.vocabularies.names("target", written[i])
        figures[f"alignment/{i}"] = alignment_figure(source, target, weights, f"row {batch.rows[i]}")
    return figures, texts


def alignments(
    model: nn.Module, batch: PairBatch, written: Sequence[Sequence[int]], device: torch.device
) -> list[NDArray[np.float32]]:
    """Attention of each written token to each source token, (T, S) for each pair; empty without such attention.

    The weights are those with which the tokens were written: the tokens are given to the decoder one after another, as
    true targets are in training.

    Args:
        model: the model, in evaluation mode.
        batch: the sources, on the CPU.
        written: target tokens of each.
        device: device of the model.
    """
    attention = cast(Writer, model).attention
    if attention is None:
        return []
    lengths = torch.tensor([len(row) for row in written])
    target = torch.full((len(written), int(lengths.max())), PAD_ID)
    for row, tokens in zip(target, written, strict=True):
        row[: len(tokens)] = torch.tensor(tokens)
    forced = pair_batch(batch.inputs, batch.lengths, target, lengths, batch.rows)
    with torch.no_grad(), recorded_weights(attention) as recorded:
        model(forced.to(device))
    (calls,) = recorded.values()
    weights = torch.cat(calls, dim=1).float().cpu()  # with input feeding there is a call for each step
    shapes = zip(lengths.tolist(), batch.lengths.tolist(), strict=True)
    return [weights[i, :T, :S].numpy() for i, (T, S) in enumerate(shapes)]


def sample_text(source: str, reference: str, output: str) -> str:
    """A source, its reference and its translation as Markdown."""
    rows = (("source", source), ("reference", reference), ("translation", output))
    return "\n".join(f"- **{name}**: {' '.join(text.split())}" for name, text in rows)

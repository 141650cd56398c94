"""Figures and texts of the attention that a model pays to each word of a few rows of validation."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seqtrain.data.base import Batch, Dataset
from seqtrain.layers.attention import recorded_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_EXAMPLES = 4  # number of rows whose attention is drawn


def draw_attention(
    model: nn.Module, data: Dataset, device: torch.device, describe: Callable[[Batch, Tensor], list[str]]
) -> tuple[dict[str, "Figure"], dict[str, str]]:
    """Figures and texts, by tag, of each attention of a model; empty if it has none.

    Args:
        model: the model, in evaluation mode.
        data: the dataset.
        device: device of the model.
        describe: what is true and what is predicted of each row, in words, from a batch and its features.
    """
    from seqtrain.tasks.classification import figures

    batch, words = data.examples("validation", NUM_EXAMPLES)
    batch = batch.to(device)
    drawn, texts = {}, {}
    with recorded_weights(model) as weights:
        titles = describe(batch, model(batch)[0])
    for name, calls in weights.items():
        place = f"attention/{name.removesuffix('.attention')}"
        for i, (row, title) in enumerate(zip(words, titles, strict=True)):
            weight = calls[0][i].float().cpu().numpy()
            if weight.ndim == 2:  # one row per query: show the mean over the real ones
                weight = weight[: len(row)].mean(0)
            weight = weight[: len(row)]
            title = f"row {batch.rows[i]}: {title}"
            drawn[f"{place}/{i}"] = figures.attention_figure(row, weight, title)
            texts[f"{place}/{i}"] = figures.attention_text(row, weight, title)
    return drawn, texts

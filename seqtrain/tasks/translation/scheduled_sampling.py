"""Scheduled sampling: in training the decoder reads some of its own predictions in place of the true tokens.

Shapes: B pairs, T target steps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from seqtrain.data.pairs.batch import PairBatch
from seqtrain.layers.masks import real_steps
from seqtrain.tasks.language.generation import without_onednn
from seqtrain.tasks.translation.search import Writer, written_logits


def sampled_previous(model: nn.Module, head: nn.Module, batch: PairBatch, probability: float) -> Tensor:
    """What the decoder reads in training: the true tokens before each target, some replaced by predictions.

    Each token but ``<begin>`` is replaced with the same probability, independently of the others, by the most probable
    token after those that were read before it, replaced ones included. A predicted end is read like any other token.

    Args:
        model: the translator. It predicts in evaluation mode, so without dropout, and is then put back in its mode.
        head: map from features to logits, likewise.
        batch: the pairs.
        probability: of a prediction in place of the true token, in [0, 1]. The draws are of torch's generator, like
            those of dropout.

    Returns:
        (B, T), without gradient.

    Source: Bengio et al. 2015, "Scheduled sampling for sequence prediction with recurrent neural networks". Of the two
    predictions that section 2.4 names, a sample or the most probable token, it is the latter. The paper does not say
    whether it is made with dropout.
    """
    translator = cast(Writer, model)
    previous = batch.previous.clone()
    replaced = torch.rand(previous.shape, device=previous.device) < probability
    replaced &= real_steps(batch.target_lengths, previous.shape[1])
    replaced[:, 0] = False
    used = replaced.any(0).nonzero()
    with torch.no_grad(), without_onednn(), evaluating(model, head):
        memory, state = translator.read(batch)
        for step in range(1, int(used.max()) + 1 if len(used) else 0):
            features, state = translator.step(previous[:, step - 1], memory, state)
            rows = replaced[:, step].nonzero().squeeze(1)
            if len(rows):
                previous[rows, step] = written_logits(head, features[rows]).argmax(-1)
    return previous


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Put modules in evaluation mode, and back in their mode at the end."""
    modes = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)

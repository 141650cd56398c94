"""Fits the wide part of a text classifier on train: which n-grams it knows, and their log-count ratios.

Shapes: B batch, L n-grams of a row, S n-grams of a table, C classes.
"""

import logging
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from seqtrain.commands.build import Built
from seqtrain.config.base import require
from seqtrain.config.root import Config
from seqtrain.config.sequence import SequenceConfig, Wide
from seqtrain.data.base import Batch, Dataset
from seqtrain.layers.ngrams import NgramBag, count_ngrams, keys_fit, log_count_ratios, most_common, ngram_keys

log = logging.getLogger(__name__)

LEAST_TEXTS = 2
"""An n-gram of one training text only would name that text and say nothing about others."""
SCALED_ON = 2048
"""Training texts on which the scores are brought to scale."""


def find_ngrams(config: Config, data: Dataset) -> tuple[Tensor, Tensor] | None:
    """The n-grams of the wide part and their counts in train, as ``count_ngrams`` returns them; None without one.

    Sets ``model.wide_found``, by which the model is built. Each process of ``torchrun`` counts all of train.

    Raises:
        ConfigError: if the n-grams are too long to be told apart in this vocabulary.
    """
    model = config.model
    if not isinstance(model, SequenceConfig) or model.wide is Wide.none:
        return None
    vocab_size, longest, num_classes = data.spec.vocab_size, model.wide_longest, len(data.spec.class_names)
    assert vocab_size is not None  # by check_targets and build_wide
    require(keys_fit(vocab_size, longest), "model.wide_longest", longest,
            f"less for a vocabulary of {vocab_size:,} tokens: n-grams are numbered in 63 bits")  # fmt: skip

    def rows() -> Iterator[tuple[Tensor, Tensor]]:
        for batch in data.eval_batches("train"):  # in which no tokens are dropped
            keys = ngram_keys(batch.inputs, batch.lengths, vocab_size, longest)
            yield keys, membership(batch, num_classes)

    keys, counts = most_common(*count_ngrams(rows(), num_classes), LEAST_TEXTS, model.wide_size)
    model.wide_found = len(keys)
    log.info("model.wide=ngrams: %s n-grams of 1 to %d tokens, each in %d texts of train or more",
             f"{len(keys):,}", longest, LEAST_TEXTS)  # fmt: skip
    return keys, counts


def fill_wide(built: Built, data: Dataset, found: tuple[Tensor, Tensor] | None) -> None:
    """Give the wide part of a new model its n-grams, and ratios in a scale that suits the texts.

    Sums over all n-grams of a long text are far too sure. The ratios are divided by the root mean square of the scores
    of some training texts, so that these are about 1.

    Args:
        built: the model, with weights as at the start.
        data: the dataset.
        found: the result of ``find_ngrams``.
    """
    if found is None:
        return
    bag = built.model.get_submodule("wide")
    assert isinstance(bag, NgramBag)
    ratios = log_count_ratios(found[1])
    bag.fill(found[0], ratios)
    bag.eval()
    seen, squares = 0, []
    with torch.no_grad():
        for batch in data.train_batches(0):
            moved = batch.to(built.device)
            squares.append(bag(moved.inputs, moved.lengths).double().square().mean(1).cpu())
            seen += len(batch.rows)
            if seen >= SCALED_ON:
                break
    scale = torch.cat(squares).mean().sqrt()
    if scale > 0:
        bag.fill(found[0], ratios / scale)


def membership(batch: Batch, num_classes: int) -> Tensor:
    """Whether each row is of each class, (B, C), from one class or a set of labels for each row."""
    return F.one_hot(batch.targets, num_classes) if batch.targets.dim() == 1 else batch.targets

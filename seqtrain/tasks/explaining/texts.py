"""Explanations of models that read texts: a token is deleted, or replaced by the unknown token.

Shapes: B texts, T tokens, D features of an embedded token, C classes.
"""

import logging
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from seqtrain.config.data import TextClassificationConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.rows.batching import sorted_batches
from seqtrain.data.run_tokenizer import run_tokenizer
from seqtrain.data.text.batches import token_name
from seqtrain.data.text.classification import TextClassification
from seqtrain.data.vocabulary import PAD, UNKNOWN
from seqtrain.errors import DataError
from seqtrain.layers.masks import real_steps
from seqtrain.tasks.classification.predict import HasClasses
from seqtrain.tasks.explaining.subject import Subject, evenly
from seqtrain.tasks.predicting import Trained

if TYPE_CHECKING:
    import pyarrow

log = logging.getLogger(__name__)

BATCH_TOKENS = 4096
"""Largest number of tokens in a batch, padding included, or that of one text, if that is more. Occlusion needs a pass
for each token of the longest text of a batch, so texts should be of like length."""


class TextSubject(Subject):
    """The log-odds of one class of a text; curves show its probability.

    A removed token is deleted: the text gets shorter, and nothing takes its place. So no input is made that training
    never had, other than a text with a gap. With ``removal=unk`` it is replaced by the unknown token, which keeps the
    positions of the others. A text without any token is one step with the vector of padding, 0.

    The baseline of gradients is a text of as many tokens with the vector 0, as word dropout leaves them; with
    ``removal=unk`` one of unknown tokens.

    Raises:
        DataError: if the data of the run has no texts.
    """

    removals = ("delete", "unk")
    score_name = "probability of the predicted class"

    def __init__(self, trained: Trained, removal: str | None = None):
        super().__init__(trained, removal)
        options = trained.config.data
        if not isinstance(options, TextClassificationConfig):
            raise DataError(f"data={options.name}: has no texts, and explain removes tokens of texts")
        most = min(options.eval_batch_tokens, max(BATCH_TOKENS, options.max_length))
        self.options = replace(options, eval_batch_tokens=most)
        self.tokenizer = run_tokenizer(trained.run.path)
        self.unknown = cast(int, self.tokenizer.token_to_id(UNKNOWN))
        self.pad_id = cast(int, self.tokenizer.token_to_id(PAD))

    @abstractmethod
    def log_odds(self, logits: Tensor, choice: Tensor) -> Tensor:
        """Log-odds of the chosen class, (B,), from logits (B, C), float64."""

    def batches(self, data: Dataset, split: str, numbers: np.ndarray) -> Iterator[Batch]:
        data = cast(TextClassification, data)
        for rows in sorted_batches(data.tokens[split].lengths[numbers], self.options.eval_batch_tokens):
            yield data.batch(split, numbers[rows])

    def new_batches(self, source: str, count: int | None = None) -> Iterator[Batch]:
        read, texts, usable = TextClassification.read_rows(self.options, source)
        for note in read.notes:
            log.info(note)
        places = np.flatnonzero(usable)
        if not len(places):
            raise DataError(
                f"input={source}: has no text to explain; give a file with at least one row that is not empty"
            )
        places = places[evenly(len(places), count)]
        for batch in TextClassification.new_batches(self.options, self.trained.run.path, [texts[i] for i in places]):
            yield replace(batch, rows=places[batch.rows])

    def choose(self, batch: Batch) -> Tensor:
        """The most probable class, (B,)."""
        with torch.no_grad():
            return self.logits(self.model(batch)[0]).argmax(-1)

    def logits(self, features: Tensor) -> Tensor:
        """Logits, (B, C), float64."""
        logits: Tensor = self.head(features)
        return logits.double()

    def score(self, batch: Batch, choice: Tensor) -> Tensor:
        return self.log_odds(self.logits(self.model(batch)[0]), choice)

    def shown(self, score: Tensor) -> Tensor:
        return score.sigmoid()

    def inputs(self, batch: Batch) -> Tensor:
        embedded: Tensor = self.model.embed(batch.inputs)  # type: ignore[operator]
        return embedded

    def baseline(self, batch: Batch) -> Tensor:
        if self.removal == "delete":
            return torch.zeros_like(self.inputs(batch))
        return self.inputs(replace(batch, inputs=torch.full_like(batch.inputs, self.unknown)))

    def score_of_inputs(self, inputs: Tensor, batch: Batch, choice: Tensor) -> Tensor:
        return self.log_odds(self.logits(self.model.encode(inputs, batch)[0]), choice)  # type: ignore[operator]

    def without(self, batch: Batch, kept: Tensor) -> Batch:
        if self.removal == "unk":
            return replace(batch, inputs=batch.inputs.where(kept, self.unknown))
        return shortened(batch, kept, self.pad_id)

    def lacks(self, method: str) -> str | None:
        if method in ("gradient_input", "integrated_gradients"):
            if not (hasattr(self.model, "embed") and hasattr(self.model, "encode")):
                return "the model does not say how it embeds tokens"
            if getattr(self.model, "wide", None) is not None:
                return "model.wide reads n-grams of tokens, which have no gradient"
        return super().lacks(method)

    def columns(self, batches: Sequence[Batch], choices: Sequence[Tensor]) -> dict[str, "pyarrow.Array"]:
        """The predicted class of each text, and its tokens."""
        import pyarrow as pa

        names = cast(HasClasses, self.trained.task).class_names
        words = [token_name(self.tokenizer, token) for token in range(self.tokenizer.get_vocab_size())]
        rows = [
            [words[token] for token in row[:length]]
            for batch in batches
            for row, length in zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        ]
        classes = [names[choice] for each in choices for choice in each.tolist()]
        return {"prediction": pa.array(classes, type=pa.string()), "tokens": pa.array(rows, type=pa.list_(pa.string()))}


def shortened(batch: Batch, kept: Tensor, pad_id: int) -> Batch:
    """The batch without the tokens at which ``kept``, (B, T), is false; the others move together.

    A text without any token becomes one step of padding, whose vector is 0.
    """
    inputs, real = batch.inputs, real_steps(batch.lengths, batch.inputs.shape[1])
    stays = kept & real
    order = (~stays).to(torch.int8).argsort(dim=1, stable=True)
    counts = stays.sum(1)
    lengths = counts.clamp(min=1)
    longest = int(lengths.max())
    moved = inputs.gather(1, order[:, :longest])
    return replace(
        batch,
        inputs=moved.masked_fill(~real_steps(counts, longest), pad_id),
        lengths=lengths,
        num_tokens=int(lengths.sum()),
    )

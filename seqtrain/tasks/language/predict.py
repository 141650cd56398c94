"""Prediction of the log-probability of each token of new texts."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from seqtrain.config import registry
from seqtrain.config.corpus import SegmentConfig
from seqtrain.data.base import Batch
from seqtrain.data.corpus.dataset import RunningText, segments_of
from seqtrain.data.corpus.loading import load_run_tokenizer
from seqtrain.errors import DataError
from seqtrain.paths import input_file
from seqtrain.tasks.language.task import MAX_LOSS
from seqtrain.tasks.predicting import Predictor, Trained

if TYPE_CHECKING:
    import pyarrow

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextPrediction:
    """The log-probabilities of the tokens of a text under a language model."""

    tokens: list[str]
    """Tokens of the text, in readable form."""
    log_probabilities: list[float]
    """Log-probability, in nats, of each token but the first given all tokens before it."""

    @property
    def perplexity(self) -> float:
        """Perplexity: the exponential of the mean negative log-probability."""
        return float(np.exp(-np.mean(self.log_probabilities)))


class TextPredictor(Predictor):
    """Computes the log-probability of each token but the first given all tokens before it."""

    def __init__(self, trained: Trained):
        super().__init__(trained)
        self.options = cast(SegmentConfig, self.data).for_model(self.config.model)
        self.dataset: type[RunningText] = registry.find("data", self.data.kind).load()
        self.tokenizer = load_run_tokenizer(trained.run.tokenizer_path)

    def predict(self, inputs: Sequence[str]) -> list[TextPrediction]:
        """The tokens of each text and their log-probabilities; each text is read separately, from a state of zeros.

        Raises:
            TypeError: if ``inputs`` is a single string.
            DataError: if a text has fewer than two tokens, or has parts that the vocabulary lacks.
        """
        if isinstance(inputs, str):
            raise TypeError("predict takes a list of texts; for a single one, give [text]")
        return [self.of_text(number, text) for number, text in enumerate(inputs)]

    def of_text(self, number: int, text: str) -> TextPrediction:
        """The tokens of a text and their log-probabilities."""
        tokens = self.dataset.tokens_of(self.options, self.tokenizer, text)
        if len(tokens) < 2:
            raise DataError(f"text {number} has {len(tokens)} token(s), and a prediction needs two; give a longer text")

        def compute(each: TextPredictor) -> dict[str, np.ndarray]:
            batches: Iterator[Batch] = segments_of(tokens, each.options)
            return each.trained.evaluate(batches).outputs

        values = self.pooled(compute)["log_probabilities"]
        names = self.tokenizer.names()
        return TextPrediction([names[token] for token in tokens.tolist()], values.tolist())

    def table(self, source: str) -> "pyarrow.Table":
        """The columns ``token`` and ``log_probability``, a row for each token; state as ``data.state`` says."""
        import pyarrow as pa

        with input_file(source, ".txt") as path:

            def compute(each: TextPredictor) -> dict[str, np.ndarray]:
                return each.trained.evaluate(each.read(path).eval_batches("test")).outputs

            values, data = self.pooled(compute)["log_probabilities"], self.read(path)
            tokens, names = np.asarray(data.tokens["test"]), self.tokenizer.names()
        perplexity = np.exp(min(-values.mean(dtype=np.float64), MAX_LOSS))
        log.info("%s: %d tokens, perplexity %.2f, %s", source, len(tokens), perplexity, data.scoring)
        return pa.table(
            {
                "token": pa.array([names[token] for token in tokens.tolist()], type=pa.string()),
                "log_probability": pa.array([None, *values.tolist()], type=pa.float32()),
            }
        )

    def read(self, path: Path) -> RunningText:
        """The text of a file, as one split, ``test``."""
        options = replace(self.options, path=str(path))
        return self.dataset(options, self.config.seed, self.trained.run.path, single_split=True)

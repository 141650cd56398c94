"""Translation of new texts, from Python and from files."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from torch import Tensor

from seqtrain.config.translation import TranslationConfig
from seqtrain.data.base import Batch
from seqtrain.data.pairs.batch import PairBatch
from seqtrain.tasks.predicting import RowPredictor, placed
from seqtrain.tasks.translation.search import Pace, search

if TYPE_CHECKING:
    import pyarrow

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """One of several translations of a text."""

    text: str
    score: float
    """What translations of a text are ranked by: the log-probability, normalised by length."""


@dataclass(frozen=True)
class TextTranslation:
    """The translation of a text."""

    text: str
    score: float
    """The log-probability, normalised by length."""
    candidates: list[Candidate]
    """The best ``task.num_best`` translations, this one included."""


class TranslationPredictor(RowPredictor):
    """Translates each text by the search that the options of the task describe."""

    def outputs(self, batches: Iterable[Batch]) -> dict[str, np.ndarray]:
        """Texts and scores of the best translations, (N, task.num_best); "" and NaN where a row has fewer."""
        config = cast(TranslationConfig, self.config.task)
        model, head = self.trained.model, self.trained.head
        pace = Pace()

        def translate(batch: Batch, features: Tensor) -> list[tuple[int, list[Candidate]]]:
            batch = cast(PairBatch, batch)
            assert batch.decode is not None
            with pace.measured(len(batch.rows)):
                found = [best[: config.num_best] for best in search(model, head, batch, config)]
            texts = iter(batch.decode([each.tokens for best in found for each in best]))
            return [
                (row, [Candidate(next(texts), each.score) for each in best])
                for row, best in zip(batch.rows.tolist(), found, strict=True)
            ]

        rows = dict(pair for part in self.trained.each_batch(batches, translate) for pair in part)
        log.info("%s", pace)
        texts = np.full((len(rows), config.num_best), "", dtype=object)
        scores = np.full(texts.shape, np.nan)
        for row, candidates in rows.items():
            for place, each in enumerate(candidates):
                texts[row, place], scores[row, place] = each.text, each.score
        return {"texts": texts, "scores": scores}

    def results(self, rows: Sequence[Any], outputs: dict[str, np.ndarray]) -> list[TextTranslation]:
        """The translation of each text."""
        found = []
        for texts, scores in zip(outputs["texts"].tolist(), outputs["scores"].tolist(), strict=True):
            listed = [Candidate(text, score) for text, score in zip(texts, scores, strict=True) if score == score]
            found.append(TextTranslation(listed[0].text, listed[0].score, listed))
        return found

    def columns(self, outputs: dict[str, np.ndarray], places: np.ndarray, count: int) -> dict[str, Any]:
        """The columns ``translation`` and ``score``; with ``task.num_best`` above 1 also a list of ``candidates``."""
        import pyarrow as pa

        found = self.results(places.tolist(), outputs) if outputs else []
        texts: list[str | None] = [None] * count
        lists: list[list[str] | None] = [None] * count
        for place, each in zip(places.tolist(), found, strict=True):
            texts[place], lists[place] = each.text, [candidate.text for candidate in each.candidates]
        scores = np.array([each.score for each in found])
        columns = {"translation": pa.array(texts, type=pa.string()), "score": placed(scores, places, count)}
        if cast(TranslationConfig, self.config.task).num_best > 1:
            columns["candidates"] = pa.array(lists, type=pa.list_(pa.string()))
        return columns

    def without_lists(self, table: "pyarrow.Table") -> "pyarrow.Table":
        return table.drop_columns([name for name in ("candidates",) if name in table.column_names])

"""Translation: predict the target text of a source text, token by token.

Shapes: B batch, T target steps, H features, V target tokens.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.config.attention import Score
from seqtrain.config.base import DataConfig, ModelConfig, Targets, TaskConfig, require
from seqtrain.config.encoder_decoder import TranslatorConfig
from seqtrain.config.translation import TranslationConfig
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.cache import cached, digest
from seqtrain.data.pairs.batch import PairBatch
from seqtrain.data.pairs.dataset import PairData
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.masks import real_steps
from seqtrain.tasks.base import FINAL_GROUPS, Evaluation, Meter, Task
from seqtrain.tasks.language.heads import SoftmaxHead
from seqtrain.tasks.stored_baselines import read_baselines, write_baselines
from seqtrain.tasks.translation.errors import Translated, unusual_table
from seqtrain.tasks.translation.illustration import draw_translations
from seqtrain.tasks.translation.scheduled_sampling import sampled_previous
from seqtrain.tasks.translation.scores import COUNTS, counts_of, evaluation_of, signature
from seqtrain.tasks.translation.search import Pace, Writer, search
from seqtrain.tasks.translation.written import as_outputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TranslationMeter(Meter):
    """Collects the log-probability of each target, and the counts of BLEU and chrF of each translation.

    Batches without target texts, as those of train are, are not translated, and have no BLEU.

    Args:
        head: map from features to scores of the targets.
        config: how BLEU and chrF read texts.
    """

    taken_in = ("nats", "counts", "written")

    def __init__(self, head: SoftmaxHead, config: TranslationConfig):
        self.head, self.config = head, config
        self.nats: dict[int, tuple[float, int, int]] = {}
        """Negative log-probability of each target in nats, the number of its tokens, and that of its source."""
        self.counts: dict[int, dict[str, np.ndarray]] = {}
        """Counts of each pair that was translated."""
        self.written: dict[int, tuple[str, int]] = {}
        """Its translation, and the number of the translation's tokens."""

    def update(self, batch: Batch, features: Tensor) -> None:
        batch = cast(PairBatch, batch)
        real = real_steps(batch.target_lengths, features.shape[1])
        nats = self.head.scores(features[real], batch.targets[real]).nats.cpu().double()
        lengths = batch.target_lengths.tolist()
        sums = [part.sum().item() for part in nats.split(lengths)]
        self.nats |= zip(batch.rows.tolist(), zip(sums, lengths, batch.lengths.tolist(), strict=True), strict=True)
        if not batch.translations:
            return
        assert batch.decode is not None and batch.references is not None
        rows = scored_rows(batch, self.config)
        texts = batch.decode(batch.translations)
        counts = counts_of(self.config, texts, batch.references[rows].tolist())
        for place, row in enumerate(batch.rows[rows].tolist()):
            self.counts[row] = {name: values[place] for name, values in counts.items()}
            self.written[row] = texts[place], len(batch.translations[place])

    def result(self) -> Evaluation:
        rows = sorted(self.nats)
        columns = zip(*(self.nats[row] for row in rows), strict=True)
        outputs = dict(zip(("nats", "lengths", "source_lengths"), map(np.array, columns), strict=True))
        for name, size in COUNTS.items() if self.counts else ():  # of pairs that are not translated, all are 0
            zeros = np.zeros(size, dtype=np.int64)
            outputs[name] = np.stack([self.counts[row][name] if row in self.counts else zeros for row in rows])
        if self.written:
            texts, lengths = zip(*(self.written.get(row, ("", 0)) for row in rows), strict=True)
            outputs |= as_outputs(texts, lengths)
        return evaluation_of(outputs)


def check_coverage(config: TranslationConfig, attends: bool) -> None:
    """Raise ConfigError for a coverage penalty where the decoder does not attend to the source."""
    penalty = config.coverage_penalty
    require(penalty == 0 or attends, "task.coverage_penalty", penalty,
            "0 for a model without attention to the source, which covers nothing")  # fmt: skip


def scored_rows(batch: PairBatch, config: TranslationConfig) -> np.ndarray:
    """Places in a batch of the pairs that are translated to be scored."""
    limit = config.translated_rows
    return np.arange(len(batch.rows)) if limit is None else np.flatnonzero(batch.rows < limit)


class Translation(Task):
    """Prediction of the target tokens by a softmax over their vocabulary, and translation by beam search.

    Scores: ``bleu`` and ``chrf`` of the translations by sacrebleu, from 0 to 100; ``loss`` (nats per target token, its
    end included, without label smoothing) and ``perplexity`` of the true targets.

    Args:
        config: label smoothing, the softmax, the search, and how BLEU reads texts.
        spec: spec of the data, with the size of the target vocabulary.
    """

    targets = Targets.translation
    causal = False
    pooled = False
    monitor = "bleu"
    maximize = True
    shown = ("bleu", "chrf", "loss", "perplexity")
    predictor = "seqtrain.tasks.translation.predict:TranslationPredictor"
    inspector = "seqtrain.tasks.translation.inspect:inspect"

    def __init__(self, config: TranslationConfig, spec: DataSpec):
        assert spec.target_vocab_size is not None
        self.config, self.vocab_size = config, spec.target_vocab_size
        self.pace = Pace()
        self.sampling = 0.0
        """Probability that the decoder reads its own prediction in this step of training."""

    @classmethod
    def check_model(cls, config: TaskConfig, model: ModelConfig) -> None:
        """Raise ConfigError if the model has no decoder, or lacks the attention that the search needs."""
        if model.targets != Targets.translation:
            raise ConfigError(
                f"model={model.name}: has no decoder that writes a text, which task={config.name} needs; use "
                "model=gru_translator, lstm_translator or attn_translator"
            )
        if isinstance(model, TranslatorConfig):
            check_coverage(cast(TranslationConfig, config), model.attention.score is not Score.none)

    @classmethod
    def stub_spec(cls, data: DataConfig) -> DataSpec:
        return DataSpec(vocab_size=5, target_vocab_size=5, pad_id=0)

    def build_head(self, model: nn.Module) -> nn.Module:
        """The softmax; raises ConfigError if the search needs an attention that the model lacks."""
        check_coverage(self.config, cast(Writer, model).attention is not None)
        tied = cast(nn.Embedding, model.get_submodule("target_embedding")) if self.config.tie_weights else None
        return SoftmaxHead(cast(int, model.output_size), self.vocab_size, None, tied)

    def check_data(self, data: Dataset) -> None:
        """Raise ConfigError if translations are lowercase, and references are not read as such."""
        lower = isinstance(data, PairData) and data.config.lowercase
        require(self.config.lowercase or not lower, "task.lowercase", False,
                "true with data.lowercase=true, or each capital letter of a reference counts as a mistake")  # fmt: skip

    def begin_step(self, share: float) -> None:
        """The probability of scheduled sampling grows linearly from 0, and reaches its option after the last step."""
        self.sampling = share * self.config.scheduled_sampling

    def features(self, model: nn.Module, head: nn.Module, batch: Batch, state: Any) -> tuple[Tensor, Any]:
        """Features of each target step; in evaluation mode a batch with references also gets its translations."""
        batch = cast(PairBatch, batch)
        if model.training and self.sampling > 0:
            batch = replace(batch, previous=sampled_previous(model, head, batch, self.sampling))
        scored = None if model.training or batch.references is None else scored_rows(batch, self.config)
        if scored is not None and len(scored):
            rows = torch.from_numpy(scored).to(batch.inputs.device)
            with self.pace.measured(len(rows)):
                found = search(model, head, batch.chosen(rows), self.config)
            batch.translations = [best.tokens for best, *_ in found]
        return model(batch, None)

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        batch, head = cast(PairBatch, batch), cast(SoftmaxHead, head)
        real = real_steps(batch.target_lengths, features.shape[1])
        features, targets = features[real], batch.targets[real]
        loss = head.nats(features, targets).sum()
        smoothing = self.config.label_smoothing
        return loss + smoothing * excess(head, features, targets) if smoothing else loss

    def count(self, batch: Batch) -> Tensor:
        return cast(PairBatch, batch).target_lengths.sum().float()

    def meter(self, head: nn.Module) -> Meter:
        return TranslationMeter(cast(SoftmaxHead, head), self.config)

    def figures(self, evaluation: Evaluation) -> dict[str, "Figure"]:
        return {"bleu_by_length": by_length(evaluation, {})}

    def tables(self, evaluation: Evaluation) -> dict[str, str]:
        found = Translated.of(evaluation.outputs)
        return {} if found is None else {"unusual_translations": unusual_table(found, self.config)}

    def illustrate(
        self, model: nn.Module, head: nn.Module, data: Dataset, device: torch.device
    ) -> tuple[dict[str, "Figure"], dict[str, str]]:
        """Translations of a few fixed sources of validation, beside the references, and their alignments."""
        if not isinstance(data, PairData):
            return {}, {}
        return draw_translations(model, head, data, device, self.config)

    def final_figures(
        self,
        model: nn.Module,
        head: nn.Module,
        data: Dataset,
        device: torch.device,
        evaluations: Mapping[str, Evaluation],
        baselines: Mapping[str, Mapping[str, Evaluation]],
    ) -> dict[str, "Figure"]:
        """BLEU by length on validation and, beside the baselines, on test; and alignments of pairs of validation."""
        drawn = {f"best/{tag}": figure for tag, figure in self.illustrate(model, head, data, device)[0].items()}
        for split, evaluation in evaluations.items():
            stored = {who: scored[split].outputs for who, scored in baselines.items()}  # of test alone
            others = {who: outputs["bleu_counts"] for who, outputs in stored.items() if "bleu_counts" in outputs}
            drawn[f"{FINAL_GROUPS[split]}/bleu_by_length"] = by_length(evaluation, others)
        return drawn

    def scored_baselines(self, data: Dataset) -> dict[str, dict[str, Evaluation]]:
        """Scores of simple translations; cached by the prepared pairs and by how BLEU reads texts."""
        if not isinstance(data, PairData) or "train" not in data.sizes:
            return {}
        scoring = [self.config.lowercase, self.config.bleu_tokens.value, self.config.translated_rows]
        key = digest([data.directory.name, scoring, signature(self.config), 2])
        return read_baselines(cached("translations", key, partial(self.fit_baselines, data)))

    def fit_baselines(self, data: PairData, directory: Path) -> None:
        """Fit on train, score on the other splits, write what ``read_baselines`` reads."""
        from seqtrain.tasks.translation.baselines import translate

        evaluations: dict[str, dict[str, Evaluation]] = {}
        for split in data.sizes:
            if split != "train":
                limit = self.config.translated_rows
                references = data.texts(split, "target").all()[:limit]
                for who, texts in translate(data, split, limit).items():
                    counts = counts_of(self.config, texts, references)
                    missing = data.sizes[split] - len(references)
                    whole = {name: np.pad(values, ((0, missing), (0, 0))) for name, values in counts.items()}
                    evaluations.setdefault(who, {})[split] = evaluation_of(whole)
        write_baselines(directory, evaluations)

    def remarks(self) -> dict[str, str]:
        """How BLEU is computed, and of which translations; and how fast this process translated in all evaluations."""
        config = self.config
        rows = "" if config.translated_rows is None else f", of the first {config.translated_rows:,} pairs of a split"
        how = "greedy search" if config.beam_size == 1 else f"beam search with {config.beam_size} hypotheses"
        made = {"signature": f"BLEU {signature(config)}, by {how}{rows}"}
        return made | ({"search": str(self.pace)} if self.pace.sentences else {})


def by_length(evaluation: Evaluation, baselines: Mapping[str, np.ndarray]) -> "Figure":
    """BLEU of an evaluation by length of the source, beside the counts of baselines."""
    from seqtrain.tasks.translation.figures import bleu_by_length_figure

    return bleu_by_length_figure(evaluation.outputs["source_lengths"], evaluation.outputs["bleu_counts"], baselines)


def excess(head: SoftmaxHead, features: Tensor, targets: Tensor) -> Tensor:
    """How much higher the loss is with all tokens as equally probable targets, in nats, summed over targets.

    With label smoothing e, the loss is (1 - e) * nats + e * mean over tokens v of -log p(v). The second term exceeds
    the first by the logit of the target minus the mean of all logits, which needs no logits of other tokens.

    Args:
        head: the softmax.
        features: (N, H).
        targets: (N,).
    """
    projected = head.projection(features).float()
    weight, bias = head.weight.float(), head.bias.float()
    own = (projected * (nn.functional.embedding(targets, weight) - weight.mean(0))).sum()
    return own + (bias[targets] - bias.mean()).sum()

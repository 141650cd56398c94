"""Language modelling: predict the next token of running text.

Shapes: B rows, T steps, N scored tokens, K confidence bins.
"""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from seqtrain.config.base import Targets
from seqtrain.config.corpus import TokenKind
from seqtrain.config.task import LanguageModellingConfig, Softmax
from seqtrain.data.base import Batch, Dataset
from seqtrain.data.cache import cached
from seqtrain.data.corpus.dataset import RunningText, SegmentBatch
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.tasks.averages import joined, log_mean_exp
from seqtrain.tasks.base import Evaluation, Meter, Task, at_last_step
from seqtrain.tasks.language.generation import continuations
from seqtrain.tasks.language.heads import AdaptiveSoftmaxHead, SampledSoftmaxHead, SoftmaxHead
from seqtrain.tasks.language.heat_map import loss_text
from seqtrain.tasks.language.sampling import Sampling
from seqtrain.tasks.statistics import Outputs
from seqtrain.tasks.stored_baselines import read_baselines, write_baselines

if TYPE_CHECKING:
    from matplotlib.figure import Figure


CONFIDENCE_BINS = 15
SAMPLE_TEMPERATURE = 0.8
PROMPT_STEPS = 32  # number of steps of the texts that samples continue
MAX_LOSS = 700.0  # exp of a larger loss overflows


class LanguageMeter(Meter):
    """Sums over scored tokens (nats, hits, characters), also by position in the segment and by confidence.

    Args:
        head: map from features to scores of the targets.
        segment_length: number T of steps of training segments.
    """

    taken_in = ("nats", "positions", "hits", "top5", "characters", "bytes", "by_position", "by_confidence")

    def __init__(self, head: SoftmaxHead | AdaptiveSoftmaxHead, segment_length: int):
        self.head, self.segment_length = head, segment_length
        self.nats: list[Tensor] = []
        self.positions: list[Tensor] = []
        self.hits = self.top5 = self.characters = self.bytes = 0
        self.by_position = np.zeros((2, segment_length))
        self.by_confidence = np.zeros((3, CONFIDENCE_BINS))

    def update(self, batch: Batch, features: Tensor) -> None:
        batch = cast(SegmentBatch, batch)
        assert batch.positions is not None
        self.characters += batch.num_characters
        self.bytes += batch.num_bytes
        scored = torch.ones_like(batch.targets, dtype=torch.bool) if batch.scored is None else batch.scored
        if not scored.any():
            return
        scores = self.head.scores(features[scored], batch.targets[scored])
        nats, rank, confidence = (values.cpu() for values in scores)
        positions = batch.positions[scored].cpu()
        self.nats.append(nats)
        self.positions.append(positions)
        self.hits += int((rank == 0).sum())
        self.top5 += int((rank < 5).sum())
        place = (positions - 1).numpy() % self.segment_length
        bins = (confidence.double() * CONFIDENCE_BINS).long().clamp(0, CONFIDENCE_BINS - 1).numpy()
        for sums, index, weights in (
            (self.by_position, place, (nats, None)),
            (self.by_confidence, bins, (confidence, rank == 0, None)),
        ):
            for i, weight in enumerate(weights):
                values = None if weight is None else weight.double().numpy()
                sums[i] += np.bincount(index, values, minlength=sums.shape[1])

    def result(self) -> Evaluation:
        nats, positions = torch.cat(self.nats).double(), torch.cat(self.positions)
        metrics = language_metrics(nats.sum().item(), len(nats), self.characters, self.bytes)
        metrics |= {"accuracy": self.hits / len(nats), "top5_accuracy": self.top5 / len(nats)}
        outputs = {"log_probabilities": -nats[positions.argsort()].float().numpy()}
        return Evaluation(metrics, outputs, {"by_position": self.by_position, "by_confidence": self.by_confidence})


def language_metrics(nats: float, tokens: int, characters: int, num_bytes: int) -> dict[str, float]:
    """Scores of a text with a number of tokens and a negative log-likelihood in nats.

    Returns:
        ``loss`` (nats per token), ``perplexity``, and, if there are characters and bytes, ``bits_per_character`` and
        ``bits_per_byte``.
    """
    loss = nats / tokens
    metrics = {"loss": loss, "perplexity": math.exp(min(loss, MAX_LOSS))}
    if characters:
        metrics["bits_per_character"] = nats / math.log(2) / characters
    if num_bytes:
        metrics["bits_per_byte"] = nats / math.log(2) / num_bytes
    return metrics


class LanguageModelling(Task):
    """Prediction of the next token by a softmax over the vocabulary.

    Scores: ``loss`` (nats per token), ``perplexity``, ``bits_per_character`` and ``bits_per_byte`` (of the text of
    the tokens), ``accuracy`` and ``top5_accuracy`` (how often the target is the most probable token, or among the five
    most probable).

    Args:
        config: the softmax, and the order of the n-gram baseline.
        spec: spec of the data, with the size of the vocabulary.

    Raises:
        ConfigError: if the adaptive or sampled softmax does not fit the vocabulary.
    """

    targets = Targets.next_token
    causal = True
    pooled = False
    carries_state = True
    monitor = "loss"
    maximize = False
    shown = ("loss", "perplexity", "bits_per_character", "accuracy", "top5_accuracy")
    averages = {"log_probabilities": log_mean_exp}
    scores_need_data = True
    predictor = "seqtrain.tasks.language.predict:TextPredictor"
    inspector = "seqtrain.tasks.language.inspect:inspect"

    def __init__(self, config: LanguageModellingConfig, spec: DataSpec):
        assert spec.vocab_size is not None
        self.config, self.vocab_size = config, spec.vocab_size
        self.segment_length = spec.segment_length or 1
        V = spec.vocab_size
        self.cutoffs = config.cutoffs or sorted({max(V // 16, 1), max(V // 4, 1)})
        if config.softmax is not Softmax.full and not spec.by_frequency:
            raise ConfigError(
                f"task.softmax={config.softmax.value}: needs tokens numbered from the most frequent, which "
                "data.tokenizer=word and char give; use full"
            )
        if config.softmax is Softmax.adaptive and self.cutoffs[-1] >= V:
            raise ConfigError(f"task.cutoffs={self.cutoffs}: must lie below the vocabulary's size, {V}")
        if config.softmax is Softmax.sampled and config.num_sampled >= V:
            raise ConfigError(
                f"task.num_sampled={config.num_sampled}: must lie below the vocabulary's size, {V}; or use "
                "task.softmax=full"
            )

    def build_head(self, model: nn.Module) -> nn.Module:
        input_size, size = cast(int, model.output_size), self.config.projection_size
        if self.config.softmax is Softmax.adaptive:
            return AdaptiveSoftmaxHead(input_size, self.vocab_size, size, self.cutoffs)
        tied = cast(nn.Embedding, model.get_submodule("embedding")) if self.config.tie_weights else None
        if tied is not None and size not in (None, tied.embedding_dim):
            raise ConfigError(
                f"task.projection_size={size}: must be model.embedding.embed_dim ({tied.embedding_dim}) or null where "
                "task.tie_weights is true"
            )
        if self.config.softmax is Softmax.sampled:
            return SampledSoftmaxHead(input_size, self.vocab_size, size, tied, self.config.num_sampled)
        return SoftmaxHead(input_size, self.vocab_size, size, tied)

    def loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        return cast(SoftmaxHead, head).nats(features.flatten(0, 1), batch.targets.flatten()).sum()

    def last_loss(self, head: nn.Module, features: Tensor, batch: Batch) -> Tensor:
        return self.loss(head, *at_last_step(features, batch))

    def count(self, batch: Batch) -> Tensor:
        return torch.tensor(float(batch.targets.numel()), device=batch.targets.device)

    def meter(self, head: nn.Module) -> Meter:
        return LanguageMeter(cast(SoftmaxHead, head), self.segment_length)

    def figures(self, evaluation: Evaluation) -> dict[str, "Figure"]:
        from seqtrain.tasks.language import figures

        confidence, hits, counts = evaluation.sums["by_confidence"]
        return {
            "loss_by_position": figures.loss_by_position_figure(*evaluation.sums["by_position"]),
            "calibration": figures.token_calibration_figure(confidence, hits.astype(int), counts.astype(int)),
        }

    def illustrate(
        self, model: nn.Module, head: nn.Module, data: Dataset, device: torch.device
    ) -> tuple[dict[str, "Figure"], dict[str, str]]:
        """Continuations of fixed texts of validation, and the losses of their tokens."""
        if not isinstance(data, RunningText):
            return {}, {}
        examples, names = data.examples("validation", 4)
        batch = examples.to(device)
        texts = self.loss_texts(model, head, batch, names, data.token_names())
        prompts = batch.inputs[:, :PROMPT_STEPS]
        generator = torch.Generator(device).manual_seed(0)
        steps = continuations(model, head, prompts, Sampling(temperature=SAMPLE_TEMPERATURE), generator)
        tokens = torch.stack([token for _, token in zip(range(self.config.sample_length), steps, strict=False)], 1)
        texts |= {
            f"sample/{i}": sample_text(data.decode(prompt.tolist()), data.decode(sample.tolist()))
            for i, (prompt, sample) in enumerate(zip(prompts, tokens, strict=True))
        }
        return {}, texts

    def loss_texts(
        self, model: nn.Module, head: nn.Module, batch: Batch, inputs: Sequence[Sequence[str]], names: Sequence[str]
    ) -> dict[str, str]:
        """Texts of a batch with the losses of their tokens, by tag; ``inputs`` and ``names``: as tokens are called."""
        with torch.no_grad():
            scores = cast(SoftmaxHead, head).scores(model(batch)[0].flatten(0, 1), batch.targets.flatten())
        losses = scores.nats.view_as(batch.targets).float().cpu().numpy()
        targets = ([names[token] for token in row] for row in batch.targets.tolist())
        rows = zip(inputs, targets, losses, strict=True)
        return {f"loss_of_tokens/{i}": loss_text(first[0], row, nats) for i, (first, row, nats) in enumerate(rows)}

    def scored_baselines(self, data: Dataset) -> dict[str, dict[str, Evaluation]]:
        """Scores of uniform, unigram and Kneser-Ney n-gram models; cached by the prepared tokens."""
        if not isinstance(data, RunningText) or "train" not in data.sizes:
            return {}
        by_letter = data.tokenizer.kind in (TokenKind.char, TokenKind.byte)
        order = self.config.order or (7 if by_letter else 5)
        key = f"{data.prepared.directory.name}-{order}-2"
        return read_baselines(cached("ngrams", key, partial(self.fit_baselines, data, order)))

    def fit_baselines(self, data: RunningText, order: int, directory: Path) -> None:
        """Fit on train, score on the other splits, write what ``read_baselines`` reads."""
        from seqtrain.tasks.language.ngrams import score_ngrams

        tokens = {split: np.asarray(data.tokens[split]) for split in data.sizes}
        held_out = {split: tokens[split] for split in data.sizes if split != "train"}
        scored = score_ngrams(tokens["train"], held_out, self.vocab_size, order)
        evaluations: dict[str, dict[str, Evaluation]] = {}
        for who, splits in scored.items():
            evaluations[who] = {}
            for split, log_probabilities in splits.items():
                evaluations[who][split] = evaluation_of(log_probabilities, data, split)
        write_baselines(directory, evaluations)

    def scored(self, parts: Sequence[tuple[Outputs, Dataset | None]], split: str) -> Evaluation:
        """Scores that need no more than the log-probability of each token: not ``accuracy``."""
        whole = joined([outputs for outputs, _ in parts])
        return evaluation_of(whole["log_probabilities"], cast(RunningText, parts[0][1]), split)


def evaluation_of(log_probabilities: np.ndarray, data: RunningText, split: str) -> Evaluation:
    """Scores of the log-probabilities of all tokens of a split but the first, (N,)."""
    targets = np.asarray(data.tokens[split])[1:]
    lengths = (int(of_tokens[targets].sum()) for of_tokens in data.token_lengths)
    metrics = language_metrics(-log_probabilities.sum(), len(targets), *lengths)
    return Evaluation(metrics, {"log_probabilities": log_probabilities.astype(np.float32)})


def sample_text(prompt: str, sample: str) -> str:
    """A prompt and its continuation by the model as Markdown."""
    fence = "~" * (3 + max((len(run) for run in (prompt + sample).split() if set(run) == {"~"}), default=0))
    parts = {"prompt": prompt, f"sample, temperature {SAMPLE_TEMPERATURE:g}": sample}
    return "\n\n".join(f"**{name}**\n\n{fence}\n{text}\n{fence}" for name, text in parts.items())

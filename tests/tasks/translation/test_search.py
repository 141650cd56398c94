"""Beam search: against exhaustive search, greedy search, other batches and orders; penalties and limits."""

import itertools
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtrain.commands.build import Built, build_model
from seqtrain.config.root import Config
from seqtrain.config.translation import TranslationConfig
from seqtrain.data.pairs.batch import PairBatch
from seqtrain.data.pairs.dataset import pair_batch
from seqtrain.data.pairs.vocabularies import BEGIN_ID, END_ID, PAD_ID
from seqtrain.data.spec import DataSpec
from seqtrain.layers.attention import recorded_weights
from seqtrain.models.translator import Translator
from seqtrain.tasks.translation.search import EXTRA_TOKENS, Writer, search
from seqtrain.training.device import seed_everything

Compose = Callable[..., Config]

V = 6  # of targets: four special tokens, one of which may be written besides the end, and two others
SIZES = ["data=pair_files", "device=cpu", "model.kernel=torch"]
RECURRENT = ["model.hidden_size=8", "model.embedding.embed_dim=6"]
ATTENTION = ["model.embedding.embed_dim=8", "model.num_heads=2", "model.feed_forward_size=12"]


ATTENDING = ["gru_translator", "lstm_translator", "attn_translator"]


@pytest.fixture(params=[*ATTENDING, "gru_translator model.attention.score=none"])
def built(request: pytest.FixtureRequest, composed: Compose) -> Built:
    seed_everything(3)
    spec = DataSpec(targets="translation", vocab_size=30, target_vocab_size=V, pad_id=0)
    sizes, factor = (ATTENTION, 1.5) if request.param == "attn_translator" else (RECURRENT, 3)
    built = build_model(composed(*f"model={request.param}".split(), *SIZES, *sizes), spec)
    for parameter in built.model.parameters():  # so that states differ from source to source
        parameter.data *= factor
    built.model.eval(), built.head.eval()
    return built


def batch_of(*lengths: int) -> PairBatch:
    generator = torch.Generator().manual_seed(0)
    sources = torch.randint(4, 30, (6, max(lengths)), generator=generator)[: len(lengths)]
    for row, length in enumerate(lengths):
        sources[row, length - 1] = END_ID
        sources[row, length:] = PAD_ID
    ones = torch.ones(len(lengths), dtype=torch.long)
    return pair_batch(sources, torch.tensor(lengths), ones[:, None] * END_ID, ones, np.arange(len(lengths)))


def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of exactly the source's tokens, with ``length_limit=1``."""
    monkeypatch.setattr("seqtrain.tasks.translation.search.EXTRA_TOKENS", 0)


def log_probability(built: Built, batch: PairBatch, tokens: list[int]) -> float:
    """Of a target of the only source of a batch, by teacher forcing; padding and beginning are never written."""
    target = torch.tensor([tokens])
    forced = pair_batch(batch.inputs, batch.lengths, target, torch.tensor([len(tokens)]), np.arange(1))
    with torch.no_grad():
        logits = built.head(built.model(forced)[0])[0].double()
    logits[:, [PAD_ID, BEGIN_ID]] = -torch.inf
    return float(logits.log_softmax(-1).gather(1, target.T).sum())


def greedy(built: Built, batch: PairBatch, limit: int) -> list[int]:
    """The most probable token at each step, of the only source of a batch."""
    model, tokens = cast(Translator, built.model), [BEGIN_ID]
    with torch.no_grad():
        memory, state = model.read(batch)
        while tokens[-1] != END_ID and len(tokens) <= limit:
            features, state = model.step(torch.tensor(tokens[-1:]), memory, state)
            logits = built.head(features)[0]
            logits[[PAD_ID, BEGIN_ID]] = -torch.inf
            tokens.append(int(logits.argmax()))
    return tokens[1:]


def test_a_beam_of_one_is_greedy_search(built: Built) -> None:
    lengths = [3, 6, 2, 5]
    found = search(built.model, built.head, batch_of(*lengths), TranslationConfig())
    for row, length in enumerate(lengths):
        (best,) = found[row]
        alone = batch_of(*lengths).chosen(torch.tensor([row]))
        assert best.tokens == greedy(built, alone, 2 * length + EXTRA_TOKENS)
        assert best.log_probability == pytest.approx(log_probability(built, alone, best.tokens), abs=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_wide_beam_is_exhaustive_search(built: Built, monkeypatch: pytest.MonkeyPatch, penalty: float) -> None:
    limited(monkeypatch)
    batch, limit = batch_of(4), 4
    config = TranslationConfig(beam_size=400, length_limit=1.0, length_penalty=penalty)
    (found,) = search(built.model, built.head, batch, config)
    others = [token for token in range(V) if token not in (PAD_ID, BEGIN_ID, END_ID)]
    every = [[*tokens, END_ID] for count in range(limit) for tokens in itertools.product(others, repeat=count)] + [
        list(tokens) for tokens in itertools.product(others, repeat=limit)
    ]
    scores = {}
    for tokens in every:
        scores[tuple(tokens)] = log_probability(built, batch, tokens) / ((5 + len(tokens)) / 6) ** penalty
    assert len(found) == len(every) == 40 + 81
    best = sorted(scores, key=lambda tokens: -scores[tokens])
    assert [tuple(each.tokens) for each in found[:10]] == best[:10]
    for each in found:
        assert each.score == pytest.approx(scores[tuple(each.tokens)], abs=1e-4)
    assert sum(np.exp(each.log_probability) for each in found) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("options", [{}, {"coverage_penalty": 0.5}])
def test_batch_and_order_change_nothing(built: Built, options: dict[str, float]) -> None:
    config = TranslationConfig(beam_size=3, **options)  # type: ignore[arg-type]
    lengths = (3, 6, 2, 5, 4, 1)
    whole = search(built.model, built.head, batch_of(*lengths), config)
    for index in ([5, 4, 3, 2, 1, 0], [0], [1], [2, 3], [4, 5]):
        part = search(built.model, built.head, batch_of(*lengths).chosen(torch.tensor(index)), config)
        for row, found in zip(index, part, strict=True):
            assert [each.tokens for each in found] == [each.tokens for each in whole[row]]
            np.testing.assert_allclose([e.score for e in found], [e.score for e in whole[row]], atol=1e-4)


@pytest.mark.parametrize("options", [{"beam_size": 1}, {"beam_size": 3, "coverage_penalty": 0.5}])
def test_finished_sources_leave_the_batch(
    built: Built, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """At once, late or all together at the end: the hypotheses are the same, and the steps compute fewer rows."""
    config, batch = TranslationConfig(**options), batch_of(3, 6, 2, 5, 4, 1)
    rows: list[int] = []
    kind: Any = type(built.model)
    step = kind.step

    def counted(self: Any, tokens: Tensor, *others: Any) -> Any:
        rows.append(len(tokens))
        return step(self, tokens, *others)

    monkeypatch.setattr(kind, "step", counted)
    limited(monkeypatch)
    found = []
    for share in (1, 4, 100):
        monkeypatch.setattr("seqtrain.tasks.translation.search.LEAVING_SHARE", share)
        rows.clear()
        found.append((search(built.model, built.head, batch, config), sum(rows)))
    assert found[2][1] <= found[1][1] < found[0][1]
    for other, _ in found[1:]:
        for one, two in zip(found[0][0], other, strict=True):
            assert [each.tokens for each in one] == [each.tokens for each in two]
            np.testing.assert_allclose([each.score for each in one], [each.score for each in two], atol=1e-5)


@pytest.mark.parametrize("built", ATTENDING, indirect=True)
def test_the_coverage_penalty(built: Built) -> None:
    """Against the weights of teacher forcing."""
    batch = batch_of(5)
    config = TranslationConfig(beam_size=3, length_penalty=0.6, coverage_penalty=0.4)
    (found,) = search(built.model, built.head, batch, config)
    for each in found:
        length = len(each.tokens)
        target = torch.tensor([each.tokens])
        forced = pair_batch(batch.inputs, batch.lengths, target, torch.tensor([length]), np.arange(1))
        attention = cast(Writer, built.model).attention
        assert attention is not None
        with torch.no_grad(), recorded_weights(attention) as weights:
            built.model(forced)
        covered: Tensor = torch.cat(next(iter(weights.values())), dim=1)[0].double().sum(0)
        expected = each.log_probability / ((5 + length) / 6) ** 0.6 + 0.4 * float(covered.clamp(max=1).log().sum())
        assert each.score == pytest.approx(expected, abs=1e-4)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


def test_the_limit(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that does not end is cut, source by source."""
    head = built.head
    with torch.no_grad():
        head.get_parameter("bias")[END_ID] = -1000
    limited(monkeypatch)
    found = search(built.model, head, batch_of(2, 4), TranslationConfig(length_limit=1.5))
    assert [len(best.tokens) for (best,) in found] == [3, 6]
    with torch.no_grad():
        head.get_parameter("bias")[END_ID] = 1000
    found = search(built.model, head, batch_of(2, 4), TranslationConfig(beam_size=2))
    assert [best[0].tokens for best in found] == [[END_ID], [END_ID]]

"""Attributions and curves, against networks whose answer is known, references and themselves in other batches."""

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqtrain.commands.build import build_data, build_model
from seqtrain.commands.explain import subject_class
from seqtrain.commands.predict import ready
from seqtrain.config.root import Config
from seqtrain.data.base import Batch
from seqtrain.data.series.batch import ForecastBatch
from seqtrain.errors import ConfigError
from seqtrain.layers.masks import real_steps
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.classification.explain import ClassSubject
from seqtrain.tasks.explaining import methods
from seqtrain.tasks.explaining.attention import attention_over_steps, rollout
from seqtrain.tasks.explaining.curves import Curves, curves, random_curves, random_importance
from seqtrain.tasks.explaining.methods import METHODS, attributions, completeness_errors
from seqtrain.tasks.explaining.subject import Subject
from seqtrain.tasks.explaining.texts import TextSubject, shortened
from seqtrain.tasks.multilabel.explain import LabelSubject

Compose = Callable[..., Config]
Make = Callable[..., Subject]

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon"]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts in which one token, yes or no, is the class, and all others say nothing."""
    folder = tmp_path_factory.mktemp("keyed")
    rng = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 24)):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            for i in range(count):
                words = list(rng.choice(WORDS, size=rng.integers(3, 12)))
                words.insert(int(rng.integers(len(words) + 1)), ("no", "yes")[i % 2])
                writer.writerow([" ".join(words), ("neg", "pos")[i % 2]])
    return folder


@pytest.fixture(scope="module")
def texts(small: Compose, keyed: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes the subject of a fresh model on the keyed texts."""

    def make(*overrides: str, removal: str | None = None) -> Subject:
        config = small("model.kernel=torch", f"data.path={keyed}", *overrides)
        return subject_of(config, tmp_path_factory.mktemp("run"), removal)

    return make


def subject_of(config: Config, folder: Path, removal: str | None) -> Subject:
    torch.manual_seed(1)
    data = build_data(config)
    data.save(folder)
    trained = ready(config, RunDirectory(folder), build_model(config, data.spec))
    return subject_class(config)(trained, removal)


def rows_of(subject: Subject, count: int = 24) -> Batch:
    """The first rows of test in one batch."""
    data = build_data(subject.trained.config)
    parts = list(subject.batches(data, "test", np.arange(count)))
    assert len(parts) == 1
    return parts[0]


def make_known(subject: Subject) -> None:
    """Give a GRU with attention pooling weights by which it finds the key and tells its class, from nothing else."""
    assert isinstance(subject, TextSubject)
    model: Any = subject.model
    head: Any = subject.head
    for parameter in (*model.parameters(), *head.parameters()):
        parameter.zero_()
    vectors = model.embedding.weight
    for word, sign in (("yes", 1.0), ("no", -1.0)):
        vectors[subject.tokenizer.token_to_id(word), :2] = torch.tensor([1.0, sign])
    layer = model.encoder.layers[0].forward_layer
    size = layer.hidden_size
    layer.weight_ih_l0[2 * size :] = torch.eye(size)
    layer.bias_ih_l0[size : 2 * size] = -30.0  # no state is kept
    pooling = model.pooling.attention
    pooling.hidden.weight[0, 0] = 3.0
    pooling.query.weight[0, 0] = 4.0
    head.weight[:, 1] = torch.tensor([-4.0, 4.0])


@pytest.mark.parametrize("removal", TextSubject.removals)
def test_every_method_ranks_the_known_token_first(texts: Make, removal: str) -> None:
    subject = texts("model=gru_attn", "model.bidirectional=false", removal=removal)
    make_known(subject)
    assert isinstance(subject, TextSubject)
    batch = rows_of(subject)
    choice = subject.choose(batch)
    assert torch.equal(choice, batch.targets)
    keys = torch.tensor([subject.tokenizer.token_to_id(word) for word in ("yes", "no")])
    place = torch.isin(batch.inputs, keys).int().argmax(1)
    whole = subject.shown(subject.score(batch, choice)).numpy()
    for method in METHODS:
        found = attributions(subject, batch, choice, method)
        assert torch.equal(found.argmax(1), place), method
        drawn = curves(subject, batch, choice, found)
        np.testing.assert_allclose(drawn.deletion, 0.5, atol=1e-6)  # nothing is left that tells
        assert (drawn.insertion >= whole[:, None] - 1e-6).all()  # the key alone has all weight
        assert (whole - drawn.reverse[:, 0] <= 1e-6).all()
    chance = random_curves(subject, batch, choice)
    assert (chance.deletion[:, 0].mean() > 0.7) and (chance.deletion[:, 0] > chance.deletion[:, -1] - 1e-9).mean() > 0.7


MODELS = ["gru_attn", "attn_gru", "gru_residual_attn", "lstm_multihead_attn", "self_attn", "lstm_attn"]


@pytest.mark.parametrize("model", [*MODELS, "gru", "rnn"])
@pytest.mark.parametrize("removal", ["delete", "unk"])
def test_integrated_gradients_are_complete(texts: Make, model: str, removal: str) -> None:
    subject = texts(f"model={model}", removal=removal)
    batch = rows_of(subject)
    choice = subject.choose(batch)
    found = attributions(subject, batch, choice, "integrated_gradients")
    whole = subject.score(batch, choice)
    empty = subject.score_of_inputs(subject.baseline(batch), batch, choice)
    torch.testing.assert_close(found.sum(1), whole - empty, atol=2e-4, rtol=2e-3)
    assert (completeness_errors(subject, batch, choice, found) < 1e-3).all()
    assert (whole - empty).abs().max() > 1e-3


@pytest.mark.parametrize("removal", ["delete", "unk"])
def test_integrated_gradients_against_a_fine_rule_in_float64(
    texts: Make, monkeypatch: pytest.MonkeyPatch, removal: str
) -> None:
    """In float64 the attributions of 128 points are complete to rounding, and those of 32 are next to them."""
    subject = texts("model=gru_attn", removal=removal)
    for module in (subject.model, subject.head):
        for parameter in module.double().parameters():
            parameter.mul_(2.0)  # so that gates and tanh bend along the line
    batch = rows_of(subject, 6)
    choice = subject.choose(batch)
    found = attributions(subject, batch, choice, "integrated_gradients")
    monkeypatch.setattr(methods, "NODES", 128)
    exact = attributions(subject, batch, choice, "integrated_gradients")
    whole = subject.score(batch, choice)
    empty = subject.score_of_inputs(subject.baseline(batch), batch, choice)
    torch.testing.assert_close(exact.sum(1), whole - empty, atol=1e-7, rtol=0)
    torch.testing.assert_close(found, exact, atol=1e-4, rtol=0)
    assert (exact - attributions(subject, batch, choice, "gradient_input")).abs().max() > 1e-2, "the score is bent"


@pytest.mark.parametrize("model", MODELS)
def test_attention_is_one_weight_a_token(texts: Make, model: str) -> None:
    subject = texts(f"model={model}")
    batch = rows_of(subject)
    weights = subject.attention(batch, subject.choose(batch))
    assert weights.shape == batch.inputs.shape and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)))
    assert (weights[~real_steps(batch.lengths, weights.shape[1])] == 0).all()


def test_models_without_attention_are_refused(texts: Make) -> None:
    assert texts("model=gru").lacks("attention") == "the model has no attention"
    assert all(texts("model=gru_attn").lacks(method) is None for method in METHODS)


def test_which_attention_counts() -> None:
    """By hand, with two steps of which the second row has one."""
    lengths = torch.tensor([2, 1])
    output = torch.tensor([[[0.8, 0.2], [0.4, 0.6]], [[1.0, 0.0], [1.0, 0.0]]])
    found = {"output_attention.attention": [output], "input_attention.attention": [output.flip(0)]}
    expected = torch.tensor([[0.6, 0.4], [1.0, 0.0]])
    torch.testing.assert_close(attention_over_steps(nn.Identity(), found, lengths), expected)
    pooled = torch.tensor([[0.1, 0.9], [1.0, 0.0]])
    torch.testing.assert_close(
        attention_over_steps(nn.Identity(), found | {"pooling.attention": [pooled]}, lengths), pooled
    )
    blocks = {f"encoder.blocks.{i}": [output] for i in range(2)}
    mixed = (output + torch.eye(2)) / 2
    torch.testing.assert_close(rollout([output, output]), mixed @ mixed)
    expected = torch.stack([(mixed @ mixed)[0].mean(0), (mixed @ mixed)[1, 0]])
    torch.testing.assert_close(attention_over_steps(nn.Identity(), blocks, lengths), expected)


def in_parts(subject: Subject, batch: Batch, size: int) -> Iterator[Batch]:
    """The rows in batches of their own, without the padding that only longer rows need."""
    for start in range(0, len(batch.rows), size):
        rows = slice(start, start + size)
        lengths = batch.lengths[rows]
        inputs = batch.inputs[rows, : int(lengths.max())]
        yield replace(batch, inputs=inputs, targets=batch.targets[rows], lengths=lengths, rows=batch.rows[rows])


def test_the_size_of_a_batch_does_not_count(texts: Make) -> None:
    subject = texts("model=gru_attn")
    batch = rows_of(subject, 12)
    choice = subject.choose(batch)
    for method in METHODS:
        whole = attributions(subject, batch, choice, method)
        drawn = curves(subject, batch, choice, whole)
        parts = [
            (attributions(subject, each, choice[place : place + 5], method), each, place)
            for each, place in zip(in_parts(subject, batch, 5), range(0, 12, 5), strict=True)
        ]
        for values, each, place in parts:
            torch.testing.assert_close(values, whole[place : place + 5, : values.shape[1]], atol=1e-6, rtol=1e-4)
            again = curves(subject, each, choice[place : place + 5], values)
            np.testing.assert_allclose(again.deletion, drawn.deletion[place : place + 5], atol=1e-5)
    chance = random_curves(subject, batch, choice)
    parts_of = zip(in_parts(subject, batch, 7), range(0, 12, 7), strict=True)
    again = Curves.joined([random_curves(subject, each, choice[place : place + 7]) for each, place in parts_of])
    np.testing.assert_allclose(again.insertion, chance.insertion, atol=1e-5)


def test_curves_by_hand(texts: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts of tokens at each fraction, and which tokens are left."""
    subject = texts("model=gru_attn")
    inputs = torch.arange(2, 2 + 20).repeat(2, 1) % 7 + 2
    batch = Batch(inputs, torch.zeros(2, dtype=torch.long), torch.tensor([20, 3]), np.arange(2), 23)
    seen: list[Tensor] = []

    def recording(batch: Batch, kept: Tensor) -> Batch:
        seen.append(kept & real_steps(batch.lengths, kept.shape[1]))
        return shortened(batch, kept, 0)

    monkeypatch.setattr(subject, "without", recording)
    importance = torch.zeros(2, 20, dtype=torch.float64)
    importance[:, 1] = 1.0
    curves(subject, batch, subject.choose(batch), importance)
    counts = [[int(n) for n in kept.sum(1)] for kept in seen]
    assert counts[:5] == [[19, 2], [19, 2], [18, 2], [16, 2], [10, 1]], "deletion: ceil of 1, 5, 10, 20 and 50 %"
    assert counts[5:10] == [[1, 1], [1, 1], [2, 1], [4, 1], [10, 2]], "insertion"
    assert counts[10:] == counts[:5], "reverse"
    assert not seen[0][:, 1].any() and seen[5][:, 1].all() and seen[10][:, 1].all()
    assert not seen[10][0, 19] and seen[10][0, :19].all(), "of equals the last one is the least important"


def test_tokens_are_deleted() -> None:
    inputs = torch.tensor([[5, 6, 7, 8], [9, 4, 0, 0], [3, 0, 0, 0]])
    batch = Batch(inputs, torch.zeros(3), torch.tensor([4, 2, 1]), np.arange(3), 7)
    kept = torch.tensor([[False, True, False, True], [True, False, True, True], [False, True, True, True]])
    found = shortened(batch, kept, 0)
    assert found.inputs.tolist() == [[6, 8], [9, 0], [0, 0]] and found.lengths.tolist() == [2, 1, 1]


def test_random_orders_depend_on_row_and_step_only() -> None:
    rows = np.arange(400)
    found = random_importance(rows, 50, 0)
    assert torch.equal(random_importance(rows[7:9], 20, 0), found[7:9, :20])
    assert abs(float(found.mean()) - 0.5) < 0.01 and float(found.min()) >= 0 and float(found.max()) < 1
    first = np.bincount(found.argmax(1).numpy(), minlength=50)
    assert first.max() < 30 and (first > 0).sum() > 45  # 8 each on average
    correlation = np.corrcoef(found[:, :-1].ravel(), found[:, 1:].ravel())[0, 1]
    others = np.corrcoef(found.ravel(), random_importance(rows, 50, 1).ravel())[0, 1]
    assert abs(correlation) < 0.03 and abs(others) < 0.03


@pytest.fixture(scope="module")
def windows(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes the subject of a fresh forecaster of two noisy waves of 8 hours."""
    folder = tmp_path_factory.mktemp("series")
    rng = np.random.default_rng(0)
    time = np.arange(300)
    values = [np.sin(2 * np.pi * time / 8 + shift) + rng.normal(0, 0.3, 300) for shift in (0, 1)]
    lines = [
        f"2024-01-{1 + t // 24:02d} {t % 24:02d}:00,{a:.4f},{b:.4f}" for t, a, b in zip(time, *values, strict=True)
    ]
    (folder / "series.csv").write_text("\n".join(["date,a,b", *lines]) + "\n")

    def make(*overrides: str, removal: str | None = None) -> Subject:
        options = [f"data.path={folder / 'series.csv'}", "data.lookback=16", "data.horizon=4", "data.season=8"]
        config = composed("data=series_files", *options, "device=cpu", *overrides)
        return subject_of(config, tmp_path_factory.mktemp("run"), removal)

    return make


@pytest.mark.parametrize("removal", ["mean", "season"])
def test_a_linear_forecaster_is_explained_exactly(windows: Make, removal: str) -> None:
    """The forecast is three steps of the window: only they have attributions, by all methods the same."""
    subject = windows("model=linear", removal=removal)
    linear: Any = subject.head.linear
    linear.weight.zero_()
    linear.weight[:, [3, 9]] = torch.tensor([1.0, -3.0])
    batch = rows_of(subject, 20)
    assert isinstance(batch, ForecastBatch)
    choice = subject.choose(batch)
    x, base = batch.inputs[..., :2].double(), subject.baseline(batch)[..., :2].double()
    if removal == "season":
        torch.testing.assert_close(base[:, 10], x[:, 2])
        torch.testing.assert_close(base[:, 5], x[:, 13])
    moved = torch.einsum("bls,l->bs", (x - base)[:, [3, 9]], torch.tensor([1.0, -3.0], dtype=torch.float64))
    whole = subject.score(batch, choice)
    torch.testing.assert_close(whole, moved.square().mean(1).sqrt(), atol=1e-5, rtol=1e-4)
    expected = torch.zeros(20, 16, dtype=torch.float64)
    for step, weight in ((3, 1.0), (9, -3.0)):
        parts = weight * (x - base)[:, step] * moved
        expected[:, step] = parts.mean(1) / whole
    for method in ("gradient_input", "integrated_gradients", "occlusion"):
        found = attributions(subject, batch, choice, method)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)
    nothing = subject.without(batch, torch.zeros(20, 16, dtype=torch.bool))
    torch.testing.assert_close(subject.score(nothing, choice), torch.zeros(20, dtype=torch.float64), atol=1e-6, rtol=0)
    assert subject.lacks("attention") == "the model has no attention"


@pytest.mark.parametrize(
    "options", ["model=gru_attn", "model=gru_seq2seq_attn", "model=gru_attn model.window.channels=independent"]
)
def test_forecasters_with_attention(windows: Make, options: str) -> None:
    subject = windows(*options.split(), "data.calendar=true", "model.kernel=torch")
    batch = rows_of(subject, 6)
    choice = subject.choose(batch)
    weights = attributions(subject, batch, choice, "attention")
    assert weights.shape == (6, 16)
    torch.testing.assert_close(weights.sum(1), torch.ones(6, dtype=torch.float64), atol=1e-5, rtol=0)
    found = attributions(subject, batch, choice, "integrated_gradients")
    torch.testing.assert_close(found.sum(1), subject.score(batch, choice), atol=1e-4, rtol=1e-2)
    known = subject.without(batch, torch.zeros(6, 16, dtype=torch.bool)).inputs[..., 2:]
    assert torch.equal(known, batch.inputs[..., 2:]), "the calendar is known and stays"


def test_series_have_their_names(windows: Make, tmp_path: Path) -> None:
    lines = [f"{t},{name},{t % 5}" for name in ("north", "south") for t in range(60)]
    (tmp_path / "named.csv").write_text("\n".join(["step,place,a", *lines]) + "\n")
    columns = ["data.time_column=step", "data.frequency=step", "data.id_column=place", "data.season=1"]
    subject = windows("model=linear", f"data.path={tmp_path}/named.csv", *columns)
    (batch,) = subject.new_batches(str(tmp_path / "named.csv"))
    found = {name: column.to_pylist() for name, column in subject.columns([batch], []).items()}
    assert found == {"series": ["north", "south"], "first_step": [60, 60]}
    assert set(windows("model=linear").columns([batch], [])) == {"first_step"}


def test_seasons_that_do_not_fit(windows: Make) -> None:
    with pytest.raises(ConfigError, match="removal=season: needs a season of 2 to 8 steps"):
        windows("model=linear", "data.season=9", removal="season")


def test_log_odds_are_of_the_probability_that_predict_writes(texts: Make) -> None:
    subject = texts("model=gru_attn")
    batch = rows_of(subject)
    choice = subject.choose(batch)
    found = subject.trained.evaluate([batch]).outputs["probabilities"]
    order = np.argsort(batch.rows)
    np.testing.assert_allclose(subject.shown(subject.score(batch, choice)).numpy()[order], found.max(1), rtol=1e-6)
    assert math.isfinite(float(subject.score(batch, choice).sum()))


def test_log_odds_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]], dtype=torch.float64)
    choice = torch.tensor([1, 2])
    subject: Any = SimpleNamespace(trained=SimpleNamespace(task=SimpleNamespace(scaling=SimpleNamespace(value=2.0))))
    p = (logits / 2).softmax(-1).gather(1, choice[:, None]).squeeze(1)
    torch.testing.assert_close(ClassSubject.log_odds(subject, logits, choice), (p / (1 - p)).log())
    torch.testing.assert_close(LabelSubject.log_odds(subject, logits, choice), torch.tensor([2.0, 3.0], dtype=p.dtype))

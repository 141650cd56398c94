"""The wide part of a text classifier: fitted on train, learned, saved, resumed and served."""

import csv
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

import seqtrain
from seqtrain.commands.budget import count_built
from seqtrain.commands.build import build_data, build_model, check_model
from seqtrain.commands.check_resume import check_resume
from seqtrain.commands.session import start
from seqtrain.commands.train import train
from seqtrain.commands.wide import SCALED_ON
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError
from seqtrain.layers.ngrams import NgramBag
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.predicting import RowPredictor
from seqtrain.training.ranks import SOLO
from seqtrain.training.steps import make_steps

Compose = Callable[..., Config]

SMALL = ["data=text_files", "model=gru", "model.hidden_size=4", "model.embedding.embed_dim=4", "data.min_count=1",
         "model.wide=ngrams", "device=cpu", "trainer.figures=false", "trainer.baselines=false"]  # fmt: skip


def bag_of(session_model: torch.nn.Module) -> NgramBag:
    bag = session_model.get_submodule("wide")
    assert isinstance(bag, NgramBag)
    return bag


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of the words a to h, each twice in every text; only whether "a b" is among the pairs tells the class."""
    folder = tmp_path_factory.mktemp("ordered")
    rng = random.Random(0)
    for split, count in (("train", 400), ("test", 100)):
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            for i in range(count):
                while True:
                    words = rng.sample("abcdefgh", 8)
                    if (("a", "b") in itertools.pairwise(words)) == (i % 2 == 0):
                        break
                writer.writerow([" ".join(words), "yes" if i % 2 == 0 else "no"])
    return folder


@pytest.mark.parametrize(("longest", "learns"), [(1, False), (2, True)])
def test_what_only_a_pair_of_words_tells(
    composed: Compose, ordered: Path, tmp_path: Path, longest: int, learns: bool
) -> None:
    config = composed(*SMALL, f"data.path={ordered}", f"model.wide_longest={longest}", "trainer.max_steps=20",
                      "trainer.warmup_steps=0", "data.batch_size=40")  # fmt: skip
    session = start(config, RunDirectory.claim(tmp_path / "run", exact=True), SOLO)
    bag = bag_of(session.built.model)
    list(make_steps(session.trainer, 20))
    bag.eval()
    (batch,) = session.data.eval_batches("test")
    accuracy = (bag(batch.inputs, batch.lengths).argmax(1) == batch.targets).float().mean()
    assert accuracy > 0.97 if learns else accuracy < 0.7


@pytest.mark.parametrize("pooling", ["last", "concat"])
def test_a_new_run_starts_from_naive_bayes_in_scale(
    composed: Compose, reviews: Path, tmp_path: Path, pooling: str
) -> None:
    config = composed(*SMALL, f"data.path={reviews}", f"model.pooling={pooling}")
    session = start(config, RunDirectory.claim(tmp_path / "run", exact=True), SOLO)
    built, bag = session.built, bag_of(session.built.model)
    built.model.eval()
    assert session.data.sizes["train"] < SCALED_ON
    scores = []
    for batch in session.data.train_batches(0):
        features = built.model(batch)[0]
        scores.append(bag(batch.inputs, batch.lengths))
        assert torch.equal(features[:, -2:], scores[-1])
        network = built.head(torch.cat([features[:, :-2], torch.zeros_like(scores[-1])], 1))
        torch.testing.assert_close(built.head(features), network + scores[-1])  # the head adds them
    assert torch.cat(scores).square().mean().sqrt().item() == pytest.approx(1, rel=1e-4)
    assert config.model.wide_found == len(bag.keys) - 1  # type: ignore[attr-defined]
    assert f"wide_found: {len(bag.keys) - 1}\n" in session.run.config_path.read_text()


def test_the_network_has_the_weights_that_it_has_alone(composed: Compose, reviews: Path) -> None:
    weights = []
    for wide in ("none", "ngrams"):
        config = composed(*SMALL, f"data.path={reviews}", f"model.wide={wide}", "model.wide_size=9")
        torch.manual_seed(0)
        weights.append(build_model(config, build_data(config).spec))
    alone, joined = (each.model.state_dict() for each in weights)
    assert all(torch.equal(joined[name], value) for name, value in alone.items())
    # The table is left out of the budget as the embedding is; the head has two scores more for each of two classes.
    assert count_built(weights[1]) == count_built(weights[0]) + 4
    assert weights[1].num_parameters == weights[0].num_parameters + 4 + 10


@pytest.mark.parametrize("extra", [[], ["trainer.average=ema", "trainer.deterministic=true", "model.wide_size=50"]])
def test_resuming_is_exact(composed: Compose, reviews: Path, tmp_path: Path, extra: list[str]) -> None:
    config = composed(*SMALL, f"data.path={reviews}", "trainer.eval_every=2",
                      "data.batch_size=8", *extra)  # fmt: skip
    check_resume(config, 3, tmp_path)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_a_run_is_served(composed: Compose, reviews: Path, tmp_path: Path, task: str) -> None:
    labels = ["task=multilabel", "data.label_separator=pipe"] if task == "multilabel" else []
    config = composed(*SMALL, f"data.path={reviews}", "trainer.max_steps=4", *labels)
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    predictor = cast(RowPredictor, seqtrain.load(run.path, device="cpu"))
    texts = ["a good film and a superb plot", "an awful plot", "a"]
    bag = bag_of(predictor.trained.model)
    assert (bag.ratios[:-1] != 0).any() and (bag.changes.weight[:-1] != 0).any()
    together = predictor.outputs_of(texts)["probabilities"]
    np.testing.assert_allclose(together, np.concatenate([predictor.outputs_of([t])["probabilities"] for t in texts]),
                               atol=1e-6)  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=reverse"], "task=sequence_labelling predicts the labels; use model.wide=none"),
        (["data=adding"], "task=sequence_regression predicts the number; use model.wide=none"),
        (["data=text_corpus"], "task=language_modelling predicts the next token; use model.wide=none"),
        (["data=sine"], "task=forecasting predicts the future; use model.wide=none"),
    ],
)
def test_other_tasks_refuse_it(composed: Compose, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_model(composed("model=gru", "model.wide=ngrams", *overrides))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.wide_longest=0", "model.wide_longest=0: must be at least 1"),
        ("model.wide_size=0", "model.wide_size=0: must be at least 1"),
        ("model.wide_dropout=1", r"model.wide_dropout=1.0: must be in \[0, 1\)"),
        ("model.wide_row_dropout=1", r"model.wide_row_dropout=1.0: must be in \[0, 1\)"),
    ],
)
def test_wrong_values(composed: Compose, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        composed(override)


def test_ngrams_that_are_too_long_for_their_numbers(composed: Compose, reviews: Path, tmp_path: Path) -> None:
    config = composed(*SMALL, f"data.path={reviews}", "model.wide_longest=20")
    with pytest.raises(ConfigError, match="model.wide_longest=20: must be less for a vocabulary of .* 63 bits"):
        start(config, RunDirectory.claim(tmp_path / "run", exact=True), SOLO)

"""A run that stops and goes on equals one that did not, for every model and task; and the check can fail."""

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqtrain.commands.check_resume import check_resume, first_difference
from seqtrain.commands.train import resume, train
from seqtrain.comparison.runs import find_runs
from seqtrain.config import registry
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError, Interrupted, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.progress import Progress, save_progress
from seqtrain.training.trainer import Trainer
from tests.configs import models_for

Compose = Callable[..., Config]

TEXTS = ["data=text_files", "data.batch_size=8", "data.min_count=1", "data.vocab_size=100"]
DATA = {
    "classification": TEXTS,
    "multilabel": [*TEXTS, "task=multilabel", "data.label_separator=pipe"],
    "sequence_labelling": ["data=reverse", "data.num_eval=8", "data.batch_size=8"],
    "sequence_regression": ["data=adding", "data.num_eval=8", "data.batch_size=8", "data.length=12"],
    "language_modelling": ["data=text_corpus", "data.tokenizer=char", "data.batch_size=3", "data.bptt_len=12"],
    "forecasting": ["data=sine", "data.length=600", "data.lookback=24", "data.horizon=8", "data.batch_size=8"],
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train, validation and test of random words."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = random.Random(0)
    for split, words in (("train", 400), ("valid", 60), ("test", 60)):
        (folder / f"{split}.txt").write_text(" ".join(rng.choices(["owl", "tree", "moon", "pond"], k=words)))
    return folder


@pytest.fixture(scope="module")
def compose_for(composed: Compose, reviews: Path, corpus: Path) -> Compose:
    """A small configuration of a task and a model, with dropout."""

    def composer(task: str, model: str, *overrides: str) -> Config:
        texts = [f"data.path={reviews}"]
        paths = {"classification": texts, "multilabel": texts, "language_modelling": [f"data.path={corpus}"]}
        sizes = [] if model.endswith("linear") else ["model.hidden_size=8", "model.embedding.embed_dim=6"]
        if model == "stacked_gru":
            sizes[0] = "model.hidden_sizes=[8,6]"
        if model == "self_attn":
            sizes = ["model.embedding.embed_dim=8", "model.feed_forward_size=16"]
        if model == "segrnn":
            sizes = ["model.hidden_size=8", "model.segment_length=4"]
        trainer = ["trainer.warmup_steps=2", "device=cpu", "trainer.eval_every=2"]
        return composed(*DATA[task], *paths.get(task, []), f"model={model}", *sizes, *trainer, *overrides)

    return composer


TASKS_OF: dict[str, list[str]] = {}
"""The tasks that each model can be trained for."""
for each in DATA:
    for name in models_for(registry.find("task", each).load().targets):
        TASKS_OF.setdefault(name, []).append(each)
PAIRS = [
    pytest.param(model, task, marks=[] if i == number % len(tasks) else pytest.mark.slow)
    for number, (model, tasks) in enumerate(TASKS_OF.items())
    for i, task in enumerate(tasks)
]


@pytest.mark.parametrize(("model", "task"), PAIRS)
def test_every_model_and_task(compose_for: Compose, tmp_path: Path, task: str, model: str) -> None:
    """By default each model in one task, and each task with some models; the slow tests are all other pairs."""
    assert check_resume(compose_for(task, model), 3, tmp_path) > 30


@pytest.mark.parametrize(
    "options",
    [
        ["trainer.average=ema"],
        ["trainer.average=nt_asgd", "trainer.nonmonotone_interval=1", "trainer.eval_every=1"],
        ["trainer.accumulate=2", "trainer.optimizer=sgd"],
        ["trainer.precision=bf16"],
        ["trainer.layer_lr_decay=0.5", "trainer.precision=bf16", "trainer.unfreeze=0.2", "model.num_layers=2"],
        ["data.bptt_jitter=true", "model.weight_drop=0.3", "model.locked_dropout=true", "trainer.deterministic=true"],
    ],
)
def test_options_of_the_trainer(compose_for: Compose, tmp_path: Path, options: list[str]) -> None:
    check_resume(compose_for("language_modelling", "lstm", *options), 5, tmp_path)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    "options", [["task.strategy=recursive"], ["model.window.norm=revin", "trainer.precision=bf16"]]
)
def test_a_learned_cycle(compose_for: Compose, tmp_path: Path, options: list[str]) -> None:
    check_resume(compose_for("forecasting", "gru", "model.window.cycle=7", *options), 5, tmp_path)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("options", [["trainer.optimizer=sgd", "trainer.average=ema"], ["trainer.layer_lr_decay=0.3"]])
def test_gradual_unfreezing(compose_for: Compose, tmp_path: Path, steps: int, options: list[str]) -> None:
    """With 34 steps an epoch, each second one unfreezes a part: the stop is before an unfreezing, or just after it."""
    unfreeze = f"trainer.unfreeze={2 / 34}"
    check_resume(compose_for("classification", "gru_attn", unfreeze, *options), steps, tmp_path)


def test_rare_tokens_are_dropped_alike(compose_for: Compose, tmp_path: Path) -> None:
    check_resume(compose_for("classification", "gru_attn", "data.rare_dropout=30"), 5, tmp_path)


@pytest.mark.parametrize("lost", ["ranks", "optimizer", "batch_index"])
def test_names_what_a_checkpoint_forgets(
    compose_for: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    def forgetful(progress: Progress, *parts: Any) -> dict[str, Any]:
        content = save_progress(progress, *parts)
        if progress.step == 3:
            if lost == "optimizer":
                content["optimizer"]["state"] = {}
            elif lost == "ranks":
                content["ranks"][0]["state"] = None
            else:
                content[lost] = 0
        return content

    monkeypatch.setattr("seqtrain.training.trainer.save_progress", forgetful)
    with pytest.raises(RunError, match=r"resuming is not exact: last\.pt\.\S+ differs between"):
        check_resume(compose_for("language_modelling", "lstm", "trainer.eval_every=20"), 3, tmp_path)


def test_its_runs_are_not_listed_among_others(compose_for: Compose, tmp_path: Path) -> None:
    check_resume(compose_for("forecasting", "nlinear"), 1, tmp_path)
    with pytest.raises(RunError, match="contains no run"):
        find_runs(str(tmp_path))


@pytest.mark.parametrize("step", [1, 3])
def test_only_its_own_stop_is_taken_for_it(
    compose_for: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """A real signal ends the command: before the planned stop, and in the same step."""
    advance = Trainer.advance

    def advance_and_signal(trainer: Trainer, num_batches: int) -> None:
        advance(trainer, num_batches)
        if trainer.run.path.name == ".stopped" and trainer.progress.step == step:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Trainer, "advance", advance_and_signal)
    with pytest.raises(Interrupted, match=f"SIGTERM; saved at step {step}"):
        check_resume(compose_for("forecasting", "nlinear"), 3, tmp_path)


def test_an_evaluation_that_is_made_anew_stands_once_in_the_log(
    compose_for: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved by a signal before it, and killed after its scores were told, before they were saved."""
    options = ["trainer.max_steps=4", "trainer.eval_every=1", "trainer.log_every=1", "trainer.figures=false"]
    config = compose_for("forecasting", "nlinear", *options, "trainer.baselines=false")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    advance = Trainer.advance

    def signalled(trainer: Trainer, num_batches: int) -> None:
        advance(trainer, num_batches)
        signal.raise_signal(signal.SIGTERM)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Trainer, "advance", signalled)
        train(config, run)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "save", killed)
        resume(config, config, run)
    resume(config, config, run)
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    for tag in ("train/loss", "val/mse"):
        assert [line["step"] for line in lines if tag in line] == [1, 2, 3, 4], tag


def test_first_difference() -> None:
    nan, zero = torch.tensor(float("nan")), torch.zeros(2)
    assert first_difference({"a": [nan, 1]}, {"a": [nan.clone(), 1]}, "x") is None
    assert first_difference({"a": [zero]}, {"a": [-zero]}, "x") == "x.a.0"  # -0.0 is another bit pattern
    assert first_difference({"a": 1, "seconds": 2.0}, {"a": 1, "seconds": 3.0}, "x") is None
    assert first_difference([1, 2], [1], "x") == "x (lengths 2 and 1)"
    assert first_difference({"a": 1}, {"b": 1}, "x") == "x (keys ['a', 'b'])"
    assert first_difference({"a": 1}, {"a": 1.0}, "x") == "x.a"
    assert first_difference([zero], [zero.double()], "x") == "x.0"


def test_steps_must_be_positive(compose_for: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="steps=0: must be at least 1"):
        check_resume(compose_for("forecasting", "nlinear"), 0, tmp_path)

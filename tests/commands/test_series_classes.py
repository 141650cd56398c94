"""Labelled series with every model: train, evaluate, predict, stop and go on; numbers, and labels of steps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import seqtrain
from seqtrain.commands.budget import count_parameters
from seqtrain.commands.build import build_data, build_model
from seqtrain.commands.check_resume import check_resume
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.training.device import seed_everything
from tests.archives import waves, write_archive, write_pair
from tests.outputs import stored_outputs

Compose = Callable[..., Config]

MODELS = ["gru", "gru_attn", "gru_residual_attn", "bahdanau_attn", "self_attn", "gru_fcn"]
SMALL = ["trainer.warmup_steps=2", "trainer.figures=false", "device=cpu", "model.embedding.embed_dim=8",
         "model.kernel=torch"]  # fmt: skip


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pair(tmp_path_factory.mktemp("series") / "Waves", 30, unequal=True, features=2)


@pytest.fixture(scope="module")
def config_of(composed: Compose, pair: Path) -> Compose:
    def compose(name: str, *overrides: str) -> Config:
        sizes = ["model.feed_forward_size=16"] if name == "self_attn" else ["model.hidden_size=8"]
        if name == "gru_fcn":
            sizes += ["model.filters=[8,16,8]"]
        data = ["data=series_classes", f"data.path={pair}"]
        return composed(*data, f"model={name}", *sizes, *SMALL, *overrides)

    return compose


@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_evaluates_and_predicts(config_of: Compose, tmp_path: Path, name: str) -> None:
    config = config_of(name, "trainer.max_steps=2", "trainer.eval_every=1", "trainer.baselines=false")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    best = train(config, run)
    scores = read_json(run.results_path)["scores"][name]
    assert best == scores["validation"]["accuracy"]
    assert evaluate(config, config, run) == scores["test"]
    model = seqtrain.load(str(run.path))
    rows = [values for values, _ in waves(4, 2, unequal=True, features=2)]
    together = [list(one.probabilities.values()) for one in model.predict(rows)]
    alone = [list(model.predict([row])[0].probabilities.values()) for row in rows]
    np.testing.assert_allclose(together, alone, atol=1e-5)  # padding and batch mates change nothing


@pytest.mark.parametrize("options", [["model.num_layers=2"], ["trainer.average=ema", "trainer.accumulate=2"],
                                     ["trainer.precision=bf16", "data.batch_tokens=150"]])  # fmt: skip
def test_a_run_that_stops_and_goes_on(config_of: Compose, tmp_path: Path, options: list[str]) -> None:
    assert check_resume(config_of("gru_fcn", "trainer.eval_every=2", *options), 3, tmp_path) > 30


def test_width_by_budget(config_of: Compose, pair: Path) -> None:
    config = config_of("gru_fcn")
    assert config.model.widths(causal=False) == {"filters": 1, "hidden_size": 1}
    assert count_parameters(config, build_data(config).spec) > 1000


def test_padding_changes_no_training_step_of_the_convolutions(config_of: Compose) -> None:
    """A batch and the same with more padding have the same gradients, statistics of the normalisation included."""
    config = config_of("gru_fcn", "model.dropout=0")
    data = build_data(config)
    batch = next(data.train_batches(0))
    found = []
    for extra in (0, 7):
        seed_everything(0)
        built = build_model(config, data.spec)
        built.model.train()
        batch.inputs = torch.nn.functional.pad(batch.inputs, (0, 0, 0, extra))
        built.task.loss(built.head, built.model(batch)[0], batch).backward()
        found.append({name: p.grad for name, p in built.model.named_parameters()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], atol=1e-3, rtol=1e-3, msg=name)


def test_numbers_and_labels_of_steps(composed: Compose, tmp_path: Path) -> None:
    series = [(values, f"{values.mean():.4f}") for values, _ in waves(40)]
    path = write_archive(tmp_path / "r.ts", series, ["@targetLabel true"])
    common = [
        *SMALL,
        "model=gru",
        "model.hidden_size=8",
        "data=series_classes",
        "trainer.max_steps=4",
        "trainer.eval_every=2",
    ]
    config = composed(*common, f"data.path={path}", "task=sequence_regression")
    run = RunDirectory.claim(tmp_path / "numbers", exact=True)
    train(config, run)
    scores = read_json(run.results_path)["scores"]
    stored = stored_outputs(run.predictions_path)
    data = build_data(config)
    mean = data.labelled_split("train")[1].mean(dtype=float)  # type: ignore[attr-defined]
    assert scores["mean of train"]["test"]["mse"] == pytest.approx(np.square(stored["targets"] - mean).mean(), rel=1e-5)
    assert evaluate(config, config, run) == scores["gru"]["test"]
    assert len(seqtrain.load(str(run.path)).predict([[1.0, 2.0], [3.0, None, 4.0]])) == 2
    rows = [f"{i},{t},{t % 3},{'on' if (t + i) % 3 else 'off'}" for i in range(30) for t in range(4 + i % 3)]
    (tmp_path / "steps.csv").write_text("id,t,x,label\n" + "\n".join(rows))
    long = ["data.id_column=id", "data.features=[x]", "task=sequence_labelling", f"data.path={tmp_path / 'steps.csv'}"]
    config = composed(*common, *long)
    run = RunDirectory.claim(tmp_path / "steps", exact=True)
    train(config, run)
    assert evaluate(config, config, run) == read_json(run.results_path)["scores"]["gru"]["test"]
    (found,) = seqtrain.load(str(run.path)).predict([[0.0, 1.0, 2.0]])
    assert len(found.labels) == 3

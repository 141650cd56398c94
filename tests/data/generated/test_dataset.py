from collections.abc import Callable

import numpy as np
import pytest
import torch

from seqtrain.commands.build import build_data, build_model
from seqtrain.config.root import Config
from seqtrain.data.generated import problems
from seqtrain.errors import ConfigError

Compose = Callable[..., Config]
PROBLEMS = ["adding", "copy_memory", "reverse"]


def test_adding_is_the_sum_of_the_marked_numbers() -> None:
    inputs, targets = problems.adding(np.random.default_rng(0), 5_000, 11)
    numbers, marks = inputs[..., 0], inputs[..., 1]
    assert (marks[:, :5].sum(1) == 1).all() and (marks[:, 5:].sum(1) == 1).all()
    np.testing.assert_allclose((numbers * marks).sum(1), targets, rtol=1e-6)
    assert ((targets - 1) ** 2).mean() == pytest.approx(1 / 6, abs=0.01)
    assert marks.sum(0).min() > 0  # every step is marked somewhere


def test_copy_memory_worked_example() -> None:
    inputs, targets = problems.copy_memory(np.random.default_rng(0), 2, length=4, num_symbols=3, copy_length=2)
    for x, y in zip(inputs.tolist(), targets.tolist(), strict=True):
        a, b = x[:2]
        assert {a, b} <= {1, 2, 3}
        assert x == [a, b, 0, 0, 0, 4, 0, 0] and y == [0, 0, 0, 0, 0, 0, a, b]
    assert problems.memoryless_loss(100, 8, 10) == pytest.approx(10 * np.log(8) / 120)


def test_reverse_is_its_own_inverse() -> None:
    inputs, targets = problems.reverse(np.random.default_rng(0), 4, 7, 5)
    assert np.array_equal(inputs, targets[:, ::-1]) and set(np.unique(inputs)) == set(range(5))


@pytest.mark.parametrize("name", PROBLEMS)
def test_batches_depend_on_seed_epoch_and_position_only(composed: Compose, name: str) -> None:
    options = [f"data={name}", "data.num_train=100", "data.num_eval=70", "data.length=6"]
    data, same, other = (build_data(composed(*options, f"seed={seed}")) for seed in (0, 0, 1))
    first = list(data.train_batches(0))
    assert [len(batch.rows) for batch in first] == [64, 36] and data.num_batches(0) == 2
    (second,) = same.train_batches(0, start=1)
    assert torch.equal(second.inputs, first[1].inputs) and torch.equal(second.targets, first[1].targets)
    assert not torch.equal(next(other.train_batches(0)).inputs, first[0].inputs)
    assert not torch.equal(next(data.train_batches(1)).inputs, first[0].inputs)
    for split in ("validation", "test"):
        own, others = list(data.eval_batches(split)), list(other.eval_batches(split))
        assert np.concatenate([batch.rows for batch in own]).tolist() == list(range(70))
        assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(own, others, strict=True))
    validation, test = next(data.eval_batches("validation")), next(data.eval_batches("test"))
    assert not torch.equal(validation.inputs, test.inputs)
    assert data.fingerprint == other.fingerprint


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("model", ["gru", "self_attn", "bahdanau_attn"])
def test_models_take_them_and_learn(composed: Compose, name: str, model: str) -> None:
    sizes = ["model.embedding.embed_dim=16"] + (["model.hidden_size=16"] if model != "self_attn" else [])
    data_options = ["data.length=5"] + (["data.copy_length=2"] if name == "copy_memory" else [])
    config = composed(f"data={name}", f"model={model}", *sizes, *data_options, "device=cpu")
    assert config.model.dropout == 0  # type: ignore[attr-defined]  # the data sets it
    data = build_data(config)
    built = build_model(config, data.spec)
    optimizer = torch.optim.Adam([*built.model.parameters(), *built.head.parameters()], lr=0.01)
    losses = []
    for _, batch in zip(range(60), data.train_batches(0), strict=False):
        optimizer.zero_grad()
        loss = built.task.loss(built.head, built.model(batch)[0], batch) / built.task.count(batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_the_command_line_wins_over_the_data(composed: Compose) -> None:
    assert composed("data=adding", "model.dropout=0.3").model.dropout == 0.3  # type: ignore[attr-defined]
    assert composed("data=docstrings").model.dropout is None  # type: ignore[attr-defined]  # 0.5 when built


def test_bad_options(composed: Compose) -> None:
    for option in ("length=1", "num_train=0", "batch_size=0"):
        with pytest.raises(ConfigError, match=option.split("=")[0]):
            composed("data=adding", f"data.{option}")


def test_evaluation_rows_do_not_depend_on_the_batch_size(composed: Compose) -> None:
    options = ["data=adding", "data.num_eval=150", "data.length=6"]
    small, large = (build_data(composed(*options, f"data.batch_size={size}")) for size in (16, 100))
    rows = [torch.cat([batch.inputs for batch in data.eval_batches("test")]) for data in (small, large)]
    assert torch.equal(*rows) and small.fingerprint == large.fingerprint


TARGETS = {"adding": "sequence_regression", "reverse": "sequence_labelling", "docstrings": "classification"}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("task", TARGETS.values())
def test_a_task_refuses_data_without_its_targets(composed: Compose, name: str, task: str) -> None:
    config = composed(f"data={name}", f"task={task}", "device=cpu", "model.hidden_size=4")
    data = build_data(config)
    if TARGETS[name] == task:
        assert build_model(config, data.spec).task.targets == data.spec.targets
        return
    with pytest.raises(ConfigError, match=f"task={task}: predicts .* remove task="):
        build_model(config, data.spec)

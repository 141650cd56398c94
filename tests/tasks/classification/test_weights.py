from typing import Any

import pytest
import torch

from seqtrain.config.task import ClassificationConfig
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.tasks.classification.task import Classification
from seqtrain.tasks.classification.weights import class_weights

NAMES = ["-1", "0", "True"]
BALANCED = torch.tensor([3.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("none", [1, 1, 1]),
        ("balanced", [3, 2, 1]),
        ([1, 2.5, 3], [1, 2.5, 3]),
        ({"True": 3, "0": 2.5, "-1": 1}, [1, 2.5, 3]),
        ({True: 3, 0: 2.5, -1: 1}, [1, 2.5, 3]),  # as YAML reads names
        ({"true": 3, "0.0": 2.5, "-1": 1}, [1, 2.5, 3]),
    ],
)
def test_weights(value: Any, expected: list[float]) -> None:
    assert class_weights(value, NAMES, BALANCED).tolist() == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "one weight for each of the 3 classes"),
        ({"-1": 1, "0": 1}, r"class 'True' has no weight; give each class a weight \(-1, 0, True\)"),
        ({"-1": 1, "0": 1, "true": 1, "1": 1}, "'1' is no class"),
        ({"-1": 1, "0": 1, 0: 1, "true": 1}, "class '0' has two weights"),
    ],
)
def test_weights_that_do_not_fit(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        class_weights(value, NAMES, BALANCED)


@pytest.mark.parametrize("value", [{}, [], "other", {"a": 0}, {"a": "1"}, {"a": True}, [1, -1], 3])
def test_weights_that_are_none(value: Any) -> None:
    with pytest.raises(ConfigError, match="task.class_weights=.*: must be none, balanced, or a list or"):
        ClassificationConfig(class_weights=value).check("task")


def test_weights_of_classification() -> None:
    spec = DataSpec(class_names=["neg", "pos"], class_counts=[3, 1])
    task = Classification(ClassificationConfig(class_weights={"pos": 2, "neg": 1}), spec)
    assert task.class_weights.tolist() == [1, 2]

import numpy as np
import pytest
import torch
from torch import nn

from seqtrain.layers.attention import AdditiveSelfPooling, recorded_weights
from seqtrain.layers.masks import real_steps
from seqtrain.layers.pooling import Pooling

LENGTHS = torch.tensor([4, 1, 3])


def states() -> torch.Tensor:
    torch.manual_seed(0)
    x = torch.randn(3, 4, 6)
    x[~real_steps(LENGTHS, 4)] = 100.0  # padding that would change the result
    return x


def reference_attention(layer: AdditiveSelfPooling, row: np.ndarray) -> np.ndarray:
    """Reference: Yang et al. 2016, eq. 5-7, in float64, on real steps only."""
    w, b, v = (p.detach().double().numpy() for p in (layer.hidden.weight, layer.hidden.bias, layer.query.weight[0]))
    scores = np.tanh(row @ w.T + b) @ v
    weights = np.exp(scores) / np.exp(scores).sum()
    return weights @ row


@pytest.mark.parametrize("kind", ["last", "mean", "max", "attention", "attention_max", "concat"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kernel", ["torch", "auto"])
def test_pooling_equals_its_definition(kind: str, bidirectional: bool, kernel: str) -> None:
    x = states()
    pooling = Pooling(kind, 6, bidirectional, kernel)
    pooled = pooling(x, LENGTHS)
    assert pooled.shape == (3, pooling.output_size)
    for i, length in enumerate(LENGTHS.tolist()):
        row = x[i, :length].double().numpy()
        last = np.concatenate([row[-1, :3], row[0, 3:]]) if bidirectional else row[-1]
        parts = {"last": last, "mean": row.mean(0), "max": row.max(0)}
        parts["concat"] = np.concatenate([parts["last"], parts["mean"], parts["max"]])
        if pooling.attention is not None:
            parts["attention"] = reference_attention(pooling.attention, row)
            parts["attention_max"] = np.concatenate([parts["attention"], parts["max"]])
        np.testing.assert_allclose(pooled[i].detach().numpy(), parts[kind], atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_gradient_of_concat_is_that_of_its_parts(bidirectional: bool) -> None:
    """In float64, and beside the gradients of the three poolings that it joins; of padding it is 0."""
    x = states().double().requires_grad_()
    concat = Pooling("concat", 6, bidirectional)
    assert torch.autograd.gradcheck(lambda x: concat(x, LENGTHS), x)
    factors = torch.randn(3, 18, dtype=torch.double)
    parts = torch.cat([Pooling(kind, 6, bidirectional)(x, LENGTHS) for kind in ("last", "mean", "max")], dim=-1)
    (wanted,) = torch.autograd.grad((parts * factors).sum(), x)
    (own,) = torch.autograd.grad((concat(x, LENGTHS) * factors).sum(), x)
    torch.testing.assert_close(own, wanted)
    assert (own[~real_steps(LENGTHS, 4)] == 0).all()


def test_concat_of_equal_states_and_of_bf16() -> None:
    """The gradient of a maximum that several steps have goes to one of them; the dtype stays that of the states."""
    x = torch.ones(1, 3, 2, dtype=torch.bfloat16, requires_grad=True)
    pooled = Pooling("concat", 2, False)(x, torch.tensor([2]))
    assert pooled.dtype is torch.bfloat16 and torch.equal(pooled, torch.ones_like(pooled))
    pooled[:, 4:].sum().backward()
    assert x.grad is not None and x.grad.dtype is torch.bfloat16 and x.grad.sum() == 2 and (x.grad[:, 2] == 0).all()


@pytest.mark.parametrize("kernel", ["torch", "auto"])
def test_weights_are_recorded_only_on_demand_and_change_nothing(kernel: str) -> None:
    x = states()
    pooling = Pooling("attention", 6, True, kernel)
    before = pooling(x, LENGTHS)
    with recorded_weights(nn.Sequential(pooling)) as weights:
        during = pooling(x, LENGTHS)
    assert torch.equal(before, during)
    ((name, (recorded,)),) = weights.items()
    assert name == "0.attention"
    torch.testing.assert_close(recorded.sum(-1), torch.ones(3))
    assert (recorded[~real_steps(LENGTHS, 4)] == 0).all()
    pooling(x, LENGTHS)
    assert len(weights[name]) == 1

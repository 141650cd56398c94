"""Every attention against its equation in float64: forward pass, gradients and recorded weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqtrain.layers import attention
from seqtrain.layers.attention import (
    AdditiveAttention,
    AdditiveSelfPooling,
    AttentionBlock,
    DotAttention,
    dot_attention,
    recorded_weights,
)
from seqtrain.layers.masks import causal_window, real_steps
from seqtrain.layers.self_attention import SelfAttentionBlock, SelfAttentionStack, apply_rotary, sinusoidal_positions

B, T, Q, M = 3, 5, 6, 8
LENGTHS = torch.tensor([5, 2, 1])
REAL = real_steps(LENGTHS, T)


def mask_of(causal: bool, steps: int = T) -> Tensor:
    """Mask of what each query sees: the real steps, or the steps up to its own (then a real query sees no padding)."""
    return torch.ones(B, steps, steps, dtype=torch.bool).tril() if causal else REAL[:, None]


def rowwise(values: Tensor, causal: bool, scores: Callable[[int, int, int], Tensor]) -> tuple[Tensor, Tensor]:
    """Outputs and weights of softmax(scores) times values, query by query over the steps that it sees."""
    out, weights = [], torch.zeros(B, T, T, dtype=values.dtype)
    for b in range(B):
        for t in range(T):
            seen = min(t + 1, int(LENGTHS[b])) if causal else int(LENGTHS[b])
            exponentials = scores(b, t, seen).exp()
            weight = exponentials / exponentials.sum()
            weights[b, t, :seen] = weight.detach()
            out.append(weight @ values[b, :seen])
    return torch.stack(out).view(B, T, -1), weights


def dot_rows(q: Tensor, k: Tensor, v: Tensor, scale: float, causal: bool) -> tuple[Tensor, Tensor]:
    """Reference of softmax(q k^T scale) v."""
    return rowwise(v, causal, lambda b, t, seen: (k[b, :seen] * q[b, t]).sum(-1) * scale)


def dot(layer: DotAttention, q: Tensor, m: Tensor, causal: bool) -> tuple[Tensor, Tensor]:
    heads = zip(*(x.chunk(layer.num_heads, -1) for x in (layer.query(q), layer.key(m), layer.value(m))), strict=True)
    parts = [dot_rows(q, k, v, layer.scale, causal) for q, k, v in heads]
    return layer.output(torch.cat([part[0] for part in parts], -1)), torch.stack([part[1] for part in parts]).mean(0)


def additive(layer: AdditiveAttention, q: Tensor, m: Tensor, causal: bool) -> tuple[Tensor, Tensor]:
    joined = torch.cat([layer.query.weight, layer.key.weight], 1)  # W of v^T tanh(W [q; k] + b)

    def scores(b: int, t: int, seen: int) -> Tensor:
        pairs = torch.stack([torch.cat([q[b, t], m[b, s]]) for s in range(seen)])
        return torch.tanh(pairs @ joined.T + layer.key.bias) @ layer.score.weight[0]

    return rowwise(m, causal, scores)


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[..., tuple[Tensor, Tensor]], float | None]] = {
    "dot": (lambda: DotAttention("dot", M, M), dot, 1.0),
    "dot of unequal sizes": (lambda: DotAttention("dot", Q, M), dot, 1.0),
    "scaled_dot": (lambda: DotAttention("scaled_dot", M, M), dot, M**-0.5),
    "scaled_dot with maps": (lambda: DotAttention("scaled_dot", Q, M, project=True), dot, M**-0.5),
    "general": (lambda: DotAttention("general", Q, M), dot, 1.0),
    "multihead": (lambda: DotAttention("multihead", Q, M, num_heads=4), dot, (M // 4) ** -0.5),
    "additive": (lambda: AdditiveAttention(Q, M), additive, None),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("causal", [False, True])
def test_equation(name: str, causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare fp32 with float64: outputs, weights, and gradients of inputs and parameters, on real queries."""
    monkeypatch.setattr(attention, "MAX_CHUNK_SCORES", 2 * B * T * M)  # two queries a chunk
    make, equation, scale = CASES[name]
    torch.manual_seed(0)
    layer: Any = make()
    double: Any = make().double()
    double.load_state_dict(layer.state_dict())
    if scale is not None:
        assert layer.scale == scale
    size = M if "unequal" not in name and name in ("dot", "scaled_dot") else Q
    query, memory = torch.randn(B, T, size, requires_grad=True), torch.randn(B, T, M, requires_grad=True)
    copies = [x.detach().double().requires_grad_() for x in (query, memory)]
    before = layer(query, memory, mask_of(causal))
    with recorded_weights(layer) as weights:
        out = layer(query, memory, mask_of(causal))
    assert torch.equal(before, out)
    expected, expected_weights = equation(double, *copies, causal)
    shown = REAL[..., None]
    np.testing.assert_allclose((out * shown).detach(), (expected * shown).detach(), atol=1e-5)
    ((recorded,),) = weights.values()
    np.testing.assert_allclose((recorded * shown).detach(), (expected_weights * shown).detach(), atol=1e-5)

    weight = torch.randn_like(out) * shown
    (out * weight).sum().backward()
    (expected * weight.double()).sum().backward()
    pairs = [(query, copies[0]), (memory, copies[1]), *zip(layer.parameters(), double.parameters(), strict=True)]
    for own, other in pairs:
        np.testing.assert_allclose(own.grad, other.grad, atol=2e-5, rtol=1e-4)


def test_additive_scores_stay_within_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = AdditiveAttention(Q, M)
    sizes = []
    original = layer.attend

    def attend(q: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append(q.shape[1] * others[0].numel())
        return original(q, *others)

    monkeypatch.setattr(layer, "attend", attend)
    monkeypatch.setattr(attention, "MAX_CHUNK_SCORES", 300)
    query, memory = torch.randn(2, 20, Q), torch.randn(2, 20, M)
    mask = torch.ones(2, 1, 20, dtype=torch.bool)
    few = layer(query, memory, mask)
    assert len(sizes) == 20 and max(sizes) == 2 * 20 * M  # one query at a time, though even that is over 300
    few.sum().backward()
    assert len(sizes) == 40  # each chunk is recomputed, not stored
    monkeypatch.setattr(attention, "MAX_CHUNK_SCORES", 10**9)
    sizes.clear()
    expected = [parameter.grad for parameter in layer.parameters()]
    layer.zero_grad()
    whole = layer(query, memory, mask)
    torch.testing.assert_close(few, whole)
    whole.sum().backward()
    assert len(sizes) == 1  # stored
    for parameter, grad in zip(layer.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad)
    sizes.clear()
    layer(query[:, :1], memory, mask).sum().backward()
    assert len(sizes) == 2  # a decoder that runs step by step would store the hidden layer of each step


def test_running_pooling_is_the_pooling_of_each_prefix() -> None:
    torch.manual_seed(0)
    layer = AdditiveSelfPooling(M)
    states = torch.randn(B, T, M) * 5
    running = layer.pool_each_step(states, mask_of(True))
    for b, length in enumerate(LENGTHS.tolist()):
        for t in range(length):
            prefix = states[b : b + 1, : t + 1]
            torch.testing.assert_close(running[b, t], layer(prefix, torch.tensor([t + 1]))[0])
    with recorded_weights(layer) as weights:
        assert torch.equal(layer.pool_each_step(states, mask_of(True)), running)
    ((recorded,),) = weights.values()
    torch.testing.assert_close(recorded.sum(-1)[REAL], torch.ones(int(LENGTHS.sum())))
    assert (recorded.triu(1) == 0).all()


def test_running_pooling_keeps_small_early_weights() -> None:
    """Scores 200 apart: with running sums in float32 the weight of the first step in its own prefix would be 0 / 0."""
    layer = AdditiveSelfPooling(1)
    with torch.no_grad():
        layer.hidden.weight.fill_(10.0)
        layer.query.weight.fill_(100.0)
    states = torch.tensor([[[-1.0], [1.0]]])
    running = layer.pool_each_step(states, torch.ones(1, 2, 2, dtype=torch.bool).tril())
    torch.testing.assert_close(running, torch.tensor([[[-1.0], [1.0]]]))


def test_causal_window() -> None:
    """Five steps of memory in two documents; the last three are queries with a context of three."""
    documents = torch.tensor([[4, 4, 5, 5, 5], [0, 0, 0, 0, 0]])
    expected = [
        [[0, 0, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 1, 1, 1]],
        [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1]],
    ]
    assert causal_window(documents, 3, 3).int().tolist() == expected


def test_rotated_products_depend_on_the_distance_alone() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(1, 2, 4, 7), torch.randn(1, 2, 4, 7)
    products = [apply_rotary(q, first) @ apply_rotary(k, first).transpose(-1, -2) for first in (0, 3, 200)]
    for product in products[1:]:
        torch.testing.assert_close(product, products[0], atol=1e-4, rtol=1e-4)
    assert torch.equal(apply_rotary(q, 0)[:, :, 0], q[:, :, 0])
    angle = 2.0 * 10_000 ** (-1 / 3)  # angle of the second of three pairs, at position 2
    a, b = q[0, 0, 2, 1], q[0, 0, 2, 4]
    np.testing.assert_allclose(apply_rotary(q, 0)[0, 0, 2, 1], a * np.cos(angle) - b * np.sin(angle), atol=1e-6)
    np.testing.assert_allclose(apply_rotary(q, 0)[0, 0, 2, 4], a * np.sin(angle) + b * np.cos(angle), atol=1e-6)


@pytest.mark.parametrize(("residual", "query_size", "size"), [(True, Q, Q), (True, M, M), (False, Q, M)])
def test_slot(residual: bool, query_size: int, size: int) -> None:
    layer = DotAttention("general", query_size, M)
    block = AttentionBlock(layer, query_size, residual)
    query, memory = torch.randn(B, T, query_size), torch.randn(B, T, M)
    attended = block.projection(layer(query, memory, mask_of(False)))
    assert isinstance(block.projection, nn.Linear) == (residual and query_size != M)
    torch.testing.assert_close(block(query, memory, mask_of(False)), query + attended if residual else attended)
    assert block.output_size == size == attended.shape[-1]


@pytest.mark.parametrize("qkv_tanh", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_self_attention_block_equals_its_equation(qkv_tanh: bool, causal: bool) -> None:
    torch.manual_seed(0)
    block = SelfAttentionBlock(M, 2, 16, qkv_tanh, rotary=False, dropout=0.0)
    double = SelfAttentionBlock(M, 2, 16, qkv_tanh, rotary=False, dropout=0.0).double()
    double.load_state_dict(block.state_dict())
    x = torch.randn(B, T, M)
    y = x.double()
    n = F.layer_norm(y, (M,), double.norm_attention.weight, double.norm_attention.bias)
    q, k, v = (n @ w.T for w in double.qkv.weight.split(M))
    if qkv_tanh:
        q, k, v = q.tanh(), k.tanh(), v.tanh()
    heads = [
        dot_rows(q.chunk(2, -1)[i], k.chunk(2, -1)[i], v.chunk(2, -1)[i], (M // 2) ** -0.5, causal)[0] for i in range(2)
    ]
    y = y + torch.cat(heads, -1) @ double.output.weight.T
    n = F.layer_norm(y, (M,), double.norm_feed_forward.weight, double.norm_feed_forward.bias)
    y = y + double.feed_forward[2:](F.gelu(double.feed_forward[0](n)))
    np.testing.assert_allclose(block(x, x, mask_of(causal))[REAL].detach(), y[REAL].detach(), atol=1e-5)


def test_positions_tell_the_order() -> None:
    table = sinusoidal_positions(50, 7, torch.device("cpu"))
    assert table.shape == (50, 7) and len(torch.unique(table, dim=0)) == 50
    np.testing.assert_allclose(table[3, 0], np.sin(3), atol=1e-6)
    np.testing.assert_allclose(table[3, 4 + 1], np.cos(3 / 10_000 ** (1 / 4)), atol=1e-6)
    x, mask = torch.randn(1, 4, 8), torch.ones(1, 1, 4, dtype=torch.bool)
    blind = SelfAttentionStack(8, 1, 2, 16, positions=False)
    torch.testing.assert_close(blind(x.flip(1), mask)[0].flip(1), blind(x, mask)[0], atol=1e-5, rtol=1e-5)
    seeing = SelfAttentionStack(8, 1, 2, 16)
    assert not torch.allclose(seeing(x.flip(1), mask)[0].flip(1), seeing(x, mask)[0], atol=1e-3)


def test_heads_must_divide() -> None:
    with pytest.raises(ValueError, match="num_heads=3: must divide"):
        DotAttention("multihead", M, M, num_heads=3)
    with pytest.raises(ValueError, match="num_heads=3: must divide"):
        SelfAttentionBlock(M, 3, 16, False, False, 0.0)


def test_gradients_in_float64() -> None:
    """Gradients, by central differences, of the layers whose forward pass is checked above."""
    torch.manual_seed(0)
    pooling = AdditiveSelfPooling(M).double()
    states = torch.randn(B, T, M, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: pooling(x, LENGTHS), states)
    assert torch.autograd.gradcheck(lambda x: pooling.pool_each_step(x, mask_of(True))[REAL], states)
    for causal in (False, True):
        block = SelfAttentionBlock(M, 2, 16, True, rotary=False, dropout=0.0).double()
        assert torch.autograd.gradcheck(lambda x, b=block, c=causal: b(x, x, mask_of(c))[REAL], states)
        for parameter in block.parameters():
            parameter.grad = None
        block(states, states, mask_of(causal))[REAL].sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())


@pytest.mark.parametrize("causal", [False, True])
def test_dot_attention_with_dropout(causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dropout the result equals torch's attention; with dropout it does so on average."""
    q, k, v = (torch.randn(B, 2, T, 4, requires_grad=True) for _ in range(3))
    mask, weight = mask_of(causal)[:, None], torch.randn(B, 2, T, 4)
    expected = F.scaled_dot_product_attention(q, k, v, mask, scale=0.7)
    torch.manual_seed(0)
    draws = torch.stack([dot_attention(q, k, v, mask, 0.7, 0.3) for _ in range(4000)])
    assert draws.std(0).max() > 0.1
    torch.testing.assert_close(draws.mean(0), expected, atol=0.08, rtol=0)
    monkeypatch.setattr(attention, "dropout", lambda x, p: x)
    found = dot_attention(q, k, v, mask, 0.7, 0.3)
    torch.testing.assert_close(found, expected)
    for a, b in zip(*(torch.autograd.grad((y * weight).sum(), [q, k, v]) for y in (found, expected)), strict=True):
        torch.testing.assert_close(a, b)
    half = dot_attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), mask, 0.7, 0.3)
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half.float(), expected, atol=0.05, rtol=0.05)

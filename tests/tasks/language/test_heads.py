"""All heads against log softmax, and what a tied head shares."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqtrain.layers.cross_entropy import TokenScores
from seqtrain.tasks.language import heads as language_heads
from seqtrain.tasks.language.heads import AdaptiveSoftmaxHead, SampledSoftmaxHead, SoftmaxHead

N, H, V = 20, 32, 60
CUTOFFS = [8, 25]


def inputs() -> tuple[Tensor, Tensor]:
    """Features, and targets of which each token that begins or ends a cluster is one."""
    torch.manual_seed(0)
    edges = [0, 7, 8, 24, 25, V - 1]
    return torch.randn(N, H) * 3, torch.tensor([*edges, *torch.randint(V, (N - len(edges),)).tolist()])


def check_scores(scores: TokenScores, log_probabilities: Tensor, targets: Tensor) -> None:
    """By brute force, row by row."""
    for i, (row, target) in enumerate(zip(log_probabilities.double(), targets.tolist(), strict=True)):
        assert scores.nats[i].item() == pytest.approx(-row[target].item(), abs=1e-5)
        assert scores.rank[i].item() == sum(other > row[target] for other in row)
        assert scores.confidence[i].item() == pytest.approx(row.max().exp().item(), rel=1e-4)
    assert not any(values.requires_grad for values in scores)


HEADS: dict[str, Any] = {
    "untied": lambda: SoftmaxHead(H, V, None, None),
    "untied, projected": lambda: SoftmaxHead(H, V, 12, None),
    "tied": lambda: SoftmaxHead(H, V, None, nn.Embedding(V, H)),
    "tied, projected": lambda: SoftmaxHead(H, V, None, nn.Embedding(V, 12)),
    "sampled, in evaluation": lambda: SampledSoftmaxHead(H, V, None, None, 40).eval(),
    "adaptive": lambda: AdaptiveSoftmaxHead(H, V, None, CUTOFFS),
    "adaptive, projected": lambda: AdaptiveSoftmaxHead(H, V, 16, CUTOFFS),
}


@pytest.mark.parametrize("kind", HEADS)
def test_nats_and_scores_are_those_of_the_distribution(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets = inputs()
    head = HEADS[kind]()
    log_probabilities = head(features).log_softmax(-1).detach()
    if "adaptive" in kind:
        torch.testing.assert_close(head(features).detach(), log_probabilities, atol=1e-5, rtol=1e-5)
    targets[-8:] = log_probabilities.argmax(-1)[-8:]  # some predictions are right
    expected = -log_probabilities.gather(1, targets[:, None]).squeeze(1)
    nats = head.nats(features, targets)
    torch.testing.assert_close(nats.detach(), expected, atol=1e-5, rtol=1e-5)
    scores = head.scores(features, targets)
    check_scores(scores, log_probabilities, targets)
    assert (scores.rank[-8:] == 0).all()
    for rows in (1, 7, N):  # no matter how many rows at once, be it of an adaptive softmax only
        monkeypatch.setattr(language_heads, "ADAPTIVE_ROWS", rows * V)
        for values, others in zip(head.scores(features, targets), scores, strict=True):
            torch.testing.assert_close(values, others, atol=1e-6, rtol=1e-6)
    grid = features.view(4, 5, H)
    torch.testing.assert_close(head(grid).view(N, V), head(features))


@pytest.mark.parametrize("kind", HEADS)
def test_gradients_are_those_of_log_softmax(kind: str) -> None:
    features, targets = inputs()
    head = HEADS[kind]()
    gradients = []
    for nats in (
        lambda x: head.nats(x, targets),
        lambda x: -head(x).log_softmax(-1).gather(1, targets[:, None]).squeeze(1),
    ):
        head.zero_grad()
        x = features.clone().requires_grad_()
        (nats(x) * torch.linspace(-1, 2, N)).sum().backward()
        gradients.append([x.grad, *(parameter.grad.clone() for parameter in head.parameters())])
    torch.testing.assert_close(gradients[0], gradients[1], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("features_type", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", HEADS)
def test_autocast(kind: str, features_type: torch.dtype) -> None:
    """Whatever type the features have, the nats are of fp32, close to the exact ones, and can be trained on."""
    features, targets = inputs()
    features = features / 3
    head = HEADS[kind]()
    exact = -head(features).log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        nats = head.nats(features.to(features_type), targets)
        scores = head.scores(features.to(features_type), targets)
    assert nats.dtype is scores.nats.dtype is torch.float32
    for values in (nats, scores.nats):
        torch.testing.assert_close(values, exact, atol=0.15, rtol=0.05)
    nats.sum().backward()
    for parameter in head.parameters():
        assert parameter.grad is not None and parameter.grad.dtype is torch.float32 and parameter.grad.isfinite().all()


def test_a_tied_head_has_the_embedding_itself() -> None:
    embedding = nn.Embedding(V, H)
    start = embedding.weight.detach().clone()
    head = SoftmaxHead(H, V, None, embedding)
    assert head.weight is embedding.weight
    both = nn.ModuleList([embedding, head])
    parameters = list(both.parameters())
    assert len(parameters) == 2 and sum(p.numel() for p in parameters) == V * H + V
    features, targets = inputs()
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    (head.nats(features, targets).sum() + embedding(targets).square().sum()).backward()
    assert embedding.weight.grad is not None
    both_gradients = embedding.weight.grad.clone()
    optimizer.step()
    assert head.weight is embedding.weight
    torch.testing.assert_close(embedding.weight.detach(), start - 0.1 * both_gradients)
    # The gradient is the sum of both uses.
    embedding.zero_grad()
    with torch.no_grad():
        embedding.weight.copy_(start), head.bias.zero_()
    head.nats(features, targets).sum().backward()
    expected = embedding.weight.grad.clone()
    expected.index_add_(0, targets, 2 * start[targets])
    torch.testing.assert_close(both_gradients, expected)


@pytest.mark.parametrize(
    ("projection_size", "tied_size", "size"),
    [(None, None, H), (12, None, 12), (H, None, H), (None, H, H), (None, 12, 12), (12, 12, 12), (H, H, H)],
)
def test_projection(projection_size: int | None, tied_size: int | None, size: int) -> None:
    """Where it is asked for, even of the features' own size, or where tied vectors have another size."""
    tied = None if tied_size is None else nn.Embedding(V, tied_size)
    head = SoftmaxHead(H, V, projection_size, tied)
    projects = projection_size is not None or tied_size not in (None, H)
    assert isinstance(head.projection, nn.Linear) == projects
    assert head.weight.shape == (V, size) and head.bias.shape == (V,)
    assert set(head.state_dict()) == {"weight", "bias", *(["projection.weight"] if projects else [])}
    features, _ = inputs()
    projected = features @ head.projection.weight.T if isinstance(head.projection, nn.Linear) else features
    torch.testing.assert_close(head(features), projected @ head.weight.T + head.bias)


def test_a_sampled_head_estimates_in_training_and_has_the_weights_of_a_full_one() -> None:
    features, targets = inputs()
    head = SampledSoftmaxHead(H, V, 12, nn.Embedding(V, 12), 40)
    assert set(head.state_dict()) == {"weight", "bias", "projection.weight"}
    exact = head.eval().nats(features, targets)
    first, second = (head.train().nats(features, targets) for _ in range(2))
    assert not torch.equal(first, second) and not torch.allclose(first, exact, atol=1e-4)
    assert first.mean().item() == pytest.approx(exact.mean().item(), rel=0.2)


@pytest.mark.parametrize("projection_size", [None, 16])
def test_adaptive_probabilities_are_those_of_the_paper(projection_size: int | None) -> None:
    """They sum to one; a rare token's is its cluster's times its own within the cluster."""
    features, _ = inputs()
    head = AdaptiveSoftmaxHead(H, V, projection_size, CUTOFFS)
    with torch.no_grad():
        probabilities = head(features).exp()
        torch.testing.assert_close(probabilities.sum(-1), torch.ones(N))
        x = head.projection(features)
        first = head.softmax.head(x).softmax(-1)  # of the frequent tokens and the two clusters
        tails = [tail(x).softmax(-1) * first[:, [CUTOFFS[0] + i]] for i, tail in enumerate(head.softmax.tail)]
    torch.testing.assert_close(probabilities, torch.cat([first[:, : CUTOFFS[0]], *tails], -1))


def test_adaptive_scores_never_hold_more_rows_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets = inputs()
    head = AdaptiveSoftmaxHead(H, V, None, CUTOFFS)
    rows = []
    head.register_forward_hook(lambda module, args, output: rows.append(output.numel()))
    for limit in (7 * V, 1):
        monkeypatch.setattr(language_heads, "ADAPTIVE_ROWS", limit)
        head.scores(features, targets)
    assert rows == [7 * V, 7 * V, 6 * V, *[V] * N]

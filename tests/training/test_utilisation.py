"""FLOPs against counts by hand and against a second implementation, and what is logged of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seqtrain.config.recurrent import RecurrentConfig
from seqtrain.config.root import Config
from seqtrain.config.sequence import Kernel
from seqtrain.config.trainer import Precision
from seqtrain.kernels.pooling import additive_pooling
from seqtrain.layers.cells import CellLayer, GRUCell
from seqtrain.layers.recurrence import RecurrentLayer
from seqtrain.training import utilisation
from seqtrain.training.flops import counted_flops, cudnn_recurrence
from seqtrain.training.utilisation import Utilisation, peak
from tests.models.test_contract import batch_of, build, train_without_dropout
from tests.training.test_trainer import make, parameters

Compose = Callable[..., Config]
LAYERS: dict[str, tuple[Callable[[int, int], nn.Module], int]] = {
    "lstm": (lambda D, H: nn.LSTM(D, H, batch_first=True), 4),
    "gru": (lambda D, H: nn.GRU(D, H, batch_first=True), 3),
    "gru_before": (lambda D, H: CellLayer(GRUCell(D, H)), 3),
    "rnn": (lambda D, H: nn.RNN(D, H, batch_first=True), 1),
}
LENGTHS = torch.tensor([5, 2, 4, 1])


@pytest.mark.parametrize("name", LAYERS)
def test_flops_of_kernels_by_hand(name: str) -> None:
    """A step multiplies (G H, D) with x and (G H, H) with h: 2 G H (D + H) FLOPs, in each direction, on real steps.

    The backward pass multiplies both again, once for the gradients of x and h and once for those of the weights.
    """
    make_layer, G = LAYERS[name]
    D, H = 6, 8
    layer = RecurrentLayer(make_layer, D, H, bidirectional=True, kernel="fused")
    x = torch.randn(4, 5, D, requires_grad=True)
    with counted_flops() as count:
        outputs, _ = layer(x, LENGTHS)
        forward = count.total
        outputs.sum().backward()
    assert forward == 2 * (5 + 2 + 4 + 1) * 2 * G * H * (D + H)
    assert count.total == 3 * forward
    with counted_flops() as count:
        layer(x.detach(), LENGTHS)[0].sum().backward()
    assert count.total == 3 * forward - 2 * 12 * 2 * G * H * D  # no gradient of x
    layer(x, LENGTHS)
    assert count.total == 3 * forward - 2 * 12 * 2 * G * H * D  # nothing is counted outside


def test_flops_of_onednn_equal_those_of_the_kernel() -> None:
    counts = []
    for kernel in ("torch", "fused"):
        layer = RecurrentLayer(LAYERS["lstm"][0], 6, 8, bidirectional=False, kernel=kernel)
        with counted_flops() as count:
            layer(torch.randn(4, 5, 6, requires_grad=True), torch.full((4,), 5))[0].sum().backward()
        counts.append(count.total)
    assert counts[0] == counts[1]


def test_flops_of_cudnn_by_hand() -> None:
    """Two layers of an LSTM, called as torch calls cuDNN; its weights are those of each layer, then its biases."""
    layer = nn.LSTM(6, 8, num_layers=2, batch_first=True)
    weights = [parameter for part in layer.all_weights for parameter in part]
    assert cudnn_recurrence(torch.zeros(4, 5, 6), weights, 4, None) == 2 * 20 * 4 * 8 * ((6 + 8) + (8 + 8))


def test_flops_of_pooling_by_hand() -> None:
    """A step multiplies W (M, M) with h, the query with u and the weight with h; gradients cost as much twice."""
    M = 16
    tensors = [torch.randn(shape, requires_grad=True) for shape in ((4, 5, M), (M, M), (M,), (M,))]
    with counted_flops() as count:
        pooled, _ = additive_pooling(tensors[0], LENGTHS, *tensors[1:])
        pooled.sum().backward()
    assert count.total == 3 * 2 * 12 * (M * M + M + M)


def test_flops_of_attention_on_the_cpu() -> None:
    q, k, v = (torch.randn(2, 3, 7, 8, requires_grad=True) for _ in range(3))
    with counted_flops() as count:
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        forward = count.total
        attended.sum().backward()
    product = 2 * 2 * 3 * 7 * 7 * 8
    assert forward == 2 * product  # scores, and their mean of the values
    assert count.total == 7 * product  # gradients of both factors of both, from scores that are computed again


@pytest.mark.parametrize("name", ["attn_gru", "lstm_multihead_attn", "gru_attn", "gru_fcn"])
def test_models_have_the_same_flops_with_and_without_kernels(composed: Compose, name: str) -> None:
    """Rows of equal length have no padding. torch's layers compute no gradient of the first state."""
    config = composed(f"model={name}", "model.embedding.embed_dim=8", "model.hidden_size=8")
    assert isinstance(config.model, RecurrentConfig)
    counts = []
    for config.model.kernel in (Kernel.torch, Kernel.fused):
        built = build(config)
        train_without_dropout(built.model)
        with counted_flops() as count:
            built.head(built.model(batch_of([torch.arange(1, 31)] * 4))[0]).sum().backward()
        counts.append(count.total)
    assert counts[0] == pytest.approx(counts[1], rel=0.03)


def test_is_logged_and_leaves_training_as_it_is(
    small: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["trainer.max_steps=6", "trainer.log_every=2", "model.dropout=0.5"]
    trainer, recorder = make(small(*options), tmp_path / "counted")
    trainer.fit()
    logged = [values for _, values in recorder.told if "train/loss" in values]
    limit = peak(trainer.device, torch.float32, torch.get_num_threads())
    flops = [values["train/mfu"] / values["train/tokens_per_second"] * limit for values in logged]
    linear = trainer.head.get_parameter("weight")
    assert flops[0] > 6 * linear.numel() / 40  # of a row of at most 40 tokens, its head alone
    assert flops[1] == pytest.approx(flops[2]) and flops[0] == pytest.approx(flops[1], rel=0.5)
    assert trainer.utilisation.next_counted == 16
    monkeypatch.setattr(utilisation, "DEVICES", ())
    plain, told = make(small(*options), tmp_path / "plain")
    plain.fit()
    assert not any("train/mfu" in values for _, values in told.told)
    assert torch.equal(parameters(trainer), parameters(plain))


def test_share_of_a_known_step() -> None:
    """A step of 2 tokens that multiplies matrices of 64 x 64, at 10 tokens per second, in two processes."""
    measured = Utilisation(torch.device("cpu"), Precision.fp32, processes=2, enabled=True)
    assert measured.logged(10.0) == {}
    a: Tensor = torch.ones(64, 64)
    with measured.counting(2):
        a @ a
    limit = peak(torch.device("cpu"), torch.float32, torch.get_num_threads())
    assert measured.logged(10.0) == {"train/mfu": pytest.approx(10 * 64**3 / (2 * limit))}

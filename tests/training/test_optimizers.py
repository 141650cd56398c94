"""The optimizers are torch's, only sooner at work."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from seqtrain.config.trainer import Optimizer, TrainerConfig
from seqtrain.training.optimizers import build_optimizer

TORCHS = {Optimizer.adam: torch.optim.Adam, Optimizer.adamw: torch.optim.AdamW, Optimizer.sgd: torch.optim.SGD}


def trained(make: object) -> tuple[list[torch.Tensor], dict[str, object]]:
    """Weights and state after some steps."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    optimizer = make(model.parameters())  # type: ignore[operator]
    for _ in range(5):
        optimizer.zero_grad(set_to_none=True)
        model(torch.randn(4, 5)).square().sum().backward()
        optimizer.step()
    return [p.detach() for p in model.parameters()], optimizer.state_dict()


@pytest.mark.parametrize("kind", Optimizer)
def test_steps_are_those_of_torch(kind: Optimizer) -> None:
    config = TrainerConfig(optimizer=kind, lr=0.1, weight_decay=0.01)
    options: dict[str, object] = {"momentum": 0.9} if kind is Optimizer.sgd else {"betas": (0.9, 0.999)}

    def torchs(parameters: object) -> torch.optim.Optimizer:
        own = list(parameters)  # type: ignore[call-overload]
        groups = [
            {"params": [p for p in own if p.dim() >= 2], "weight_decay": 0.01},
            {"params": [p for p in own if p.dim() < 2], "weight_decay": 0.0},
        ]
        return TORCHS[kind](groups, lr=0.1, fused=True, **options)

    (ours, state), (theirs, _) = trained(lambda parameters: build_optimizer(config, parameters)), trained(torchs)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)
    fresh = build_optimizer(config, nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).parameters())
    fresh.load_state_dict(state)
    assert fresh.state_dict()["state"].keys() == state["state"].keys()  # type: ignore[attr-defined]


def test_torchs_compiler_is_not_imported() -> None:
    code = (
        "import sys, torch; from seqtrain.config.trainer import TrainerConfig; "
        "from seqtrain.training.optimizers import build_optimizer; "
        "layer = torch.nn.Linear(2, 2); optimizer = build_optimizer(TrainerConfig(), layer.parameters()); "
        "optimizer.zero_grad(); layer(torch.ones(1, 2)).sum().backward(); optimizer.step(); "
        "optimizer.load_state_dict(optimizer.state_dict()); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

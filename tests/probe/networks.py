"""Small models and batches whose health is measured."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from seqtrain.commands.build import Built, build_model
from seqtrain.config.root import Config
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.training.device import seed_everything

Compose = Callable[..., Config]

SPEC = DataSpec(targets="class", vocab_size=50, pad_id=0, class_names=["a", "b", "c"], class_counts=[5, 5, 5])
LABELS = DataSpec(targets="labels", vocab_size=50, pad_id=0, class_names=["a", "b", "c"])


def tokens(lengths: list[int], targets: Tensor | None = None, seed: int = 0) -> Batch:
    """A batch of texts of random tokens, padded on the right."""
    rng = np.random.default_rng(seed)
    inputs = torch.from_numpy(rng.integers(1, 50, (len(lengths), max(lengths))))
    sizes = torch.tensor(lengths)
    inputs[torch.arange(max(lengths)) >= sizes[:, None]] = 0
    if targets is None:
        targets = torch.arange(len(lengths)) % 3
    return Batch(inputs, targets, sizes, np.arange(len(lengths)), num_tokens=sum(lengths))


def network(composed: Compose, *overrides: str, spec: DataSpec = SPEC, double: bool = True) -> Built:
    """A small model in evaluation mode, in fp64 unless told otherwise."""
    sizes = ["model.embedding.embed_dim=4", "model.kernel=torch", "device=cpu"]
    if "model=self_attn" in overrides:
        sizes = [sizes[0], sizes[2], "model.feed_forward_size=8"]
    elif not any(override.startswith("model.hidden_size") for override in overrides):
        sizes.append("model.hidden_size=3")
    seed_everything(0)
    built = build_model(composed(*overrides, *sizes), spec)
    for module in (built.model, built.head):
        module.eval()
        if double:
            module.double()
    return built

"""Virtual adversarial training: predictions should not change where embedded tokens are moved a little.

Shapes: B batch, T time, D features of an embedded token.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from seqtrain.config.task import RegularisedConfig
from seqtrain.data.base import Batch
from seqtrain.data.text.unlabelled import JoinedBatch
from seqtrain.layers.masks import real_steps
from seqtrain.tasks.base import Task
from seqtrain.training.moves import check_embeds, generator_states, moved, repeating, unit

PROBE = 0.1
"""Length of the move by which the direction is found, as in the code of the source."""


class VirtualAdversary:
    """Moves the embedded tokens of a batch to where the prediction changes fastest, and penalises the change.

    With e the embedded tokens of a row after their dropout, p(e) the prediction, and d normal noise on its real tokens,
    scaled to the norm xi rms(e),

        g = gradient of KL(p(e) || p(e + d)) for d,
        r = epsilon rms(e) g / ||g||,
        loss = L + virtual_adversarial * mean over rows of KL(p(e) || p(e + r)),

    where norms and rms are those of a whole row, as in ``Adversary``, and xi = 0.1. g is one power iteration towards
    the direction of the largest change. The mean is over the rows of a batch and its unlabelled rows alike. No gradient
    flows through p(e) and g / ||g||. All passes over a row have the same dropout masks; else g would follow the change
    of masks. p(e) and g are computed in fp32 under bf16 too, whose rounding is larger than the change by xi.

    Cost, for the rows of a batch and for unlabelled rows each: three forward passes, a backward pass for the tokens
    alone, and a whole one.

    Args:
        model: has embedded tokens.
        head: maps features to outputs.
        task: defines the divergence of predictions.
        options: weight and epsilon.

    Raises:
        ConfigError: if the model embeds no tokens.

    Source: Miyato et al. 2017, "Adversarial training methods for semi-supervised text classification", eq. 7-8, whose
    embedded tokens are normalised instead; Miyato et al. 2016, "Distributional smoothing with virtual adversarial
    training", section 3.
    """

    def __init__(self, model: nn.Module, head: nn.Module, task: Task, options: RegularisedConfig):
        self.model = check_embeds(model, f"task.virtual_adversarial={options.virtual_adversarial}")
        self.head, self.task, self.options = head, task, options

    def loss(self, batch: Batch) -> Tensor:
        """The mean divergence of the rows, labelled or not, times the ``count`` of the batch and the weight."""
        parts = [self.divergences(batch)]
        if isinstance(batch, JoinedBatch) and batch.unlabelled is not None:
            parts.append(self.divergences(batch.unlabelled))
        return self.options.virtual_adversarial * torch.cat(parts).mean() * self.task.count(batch)

    def divergences(self, batch: Batch) -> Tensor:
        """KL(p(e) || p(e + r)) of each row, (B,)."""
        device = batch.inputs.device
        draws = generator_states(device)
        with frozen(self.model, self.head), torch.autocast(device.type, enabled=False):
            embedded = self.model.embed(batch.inputs)
            later_draws = generator_states(device)
            expected = self.outputs(embedded, batch)
            real = real_steps(batch.lengths, batch.inputs.shape[1])[..., None]
            probe = unit(torch.randn_like(embedded) * real).requires_grad_()
            with repeating(later_draws, device):
                near = self.outputs(moved(embedded, probe, PROBE, batch.lengths), batch)
            (slope,) = torch.autograd.grad(self.task.divergence(expected, near).sum(), probe)
        with repeating(draws, device):
            there = moved(
                self.model.embed(batch.inputs), unit(slope), self.options.virtual_adversarial_epsilon, batch.lengths
            )
            return self.task.divergence(expected, self.outputs(there, batch))

    def outputs(self, embedded: Tensor, batch: Batch) -> Tensor:
        """Outputs of the head in fp32, from embedded tokens (B, T, D)."""
        outputs: Tensor = self.head(self.model.encode(embedded, batch)[0])
        return outputs.float()


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Context in which no parameter needs a gradient, so that backward passes are only for the inputs."""
    trained = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)

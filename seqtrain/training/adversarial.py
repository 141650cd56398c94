"""Adversarial training: the loss of rows whose embedded tokens are moved to where it rises fastest.

Shapes: B batch, T time, D features of an embedded token.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqtrain.config.task import RegularisedConfig
from seqtrain.data.base import Batch
from seqtrain.errors import ConfigError
from seqtrain.models.sequence import SequenceModel
from seqtrain.tasks.base import Task

LEAST_SQUARE = 1e-12
"""Smallest mean square of a row's embedded tokens; below it, the square root has no useful gradient."""


@dataclass
class FirstPass:
    """What the perturbed pass over a batch needs of the pass before it."""

    draws: list[Tensor]
    """States of the random generators before the pass."""
    embedded: Tensor
    """The embedded tokens after their dropout, (B, T, D), with their gradient once it is computed."""


class Adversary:
    """Moves the embedded tokens of a batch to where its loss rises fastest.

    With e the embedded tokens of a row after their dropout, L the loss and g the gradient of L(e) for e,

        r = epsilon rms(e) g / ||g||,    loss = L(e) + adversarial L(e + r),

    where the norm is that of the whole row of T tokens, and rms(e) the root mean square of its T D numbers. The source
    normalises each embedded token by the mean and variance of the vocabulary's vectors, so that rms(e) is about 1, and
    moves by epsilon. Without this, a model could make r small by longer vectors. Here r grows with the vectors instead,
    and its gradient does too: longer vectors gain nothing, and those of another run or a file stay as they are. Under
    dropout of embedded tokens with probability p, rms(e) and r are 1 / sqrt(1 - p) times as long.

    Both passes have the same dropout masks, so that r is the worst move for the network that is trained. (The code of
    the source has dropout before the embedded tokens only, which both of its passes share.) No gradient flows through
    g / ||g||.

    Cost: two forward and two backward passes a step, one after the other; memory is that of one.

    Args:
        model: has embedded tokens.
        head: maps features to outputs.
        task: defines the loss.
        options: weight and epsilon.

    Raises:
        ConfigError: if the model embeds no tokens.

    Source: Miyato et al. 2017, "Adversarial training methods for semi-supervised text classification", eq. 1-6.
    """

    def __init__(self, model: nn.Module, head: nn.Module, task: Task, options: RegularisedConfig):
        self.model = check_embeds(model, f"task.adversarial={options.adversarial}")
        self.head, self.task, self.options = head, task, options
        self.first: FirstPass | None = None

    def features(self, batch: Batch) -> Tensor:
        """The features of a batch, in a pass that the next ``loss`` builds on."""
        draws = generator_states(batch.inputs.device)
        embedded = self.model.embed(batch.inputs)
        if not embedded.requires_grad:
            embedded.requires_grad_()  # a frozen embedding
        embedded.retain_grad()
        self.first = FirstPass(draws, embedded)
        return self.model.encode(embedded, batch)[0]

    def loss(self, batch: Batch) -> Tensor:
        """The loss of the moved rows, summed over the batch and weighted.

        Args:
            batch: the batch of the last call of ``features``, whose loss has been differentiated since.
        """
        assert self.first is not None and self.first.embedded.grad is not None
        direction, draws = unit(self.first.embedded.grad), self.first.draws
        self.first = None
        with repeating(draws, batch.inputs.device):
            embedded = self.model.embed(batch.inputs)
            move = self.options.adversarial_epsilon * root_mean_square(embedded, batch.lengths) * direction
            features, _ = self.model.encode(embedded + move, batch)
        return self.options.adversarial * self.task.loss(self.head, features, batch)


def check_embeds(model: nn.Module, option: str) -> SequenceModel:
    """The model, if it embeds tokens; else raise ConfigError, for an ``option`` that needs it."""
    if isinstance(model, SequenceModel) and isinstance(model.embedding, nn.Embedding):
        return model
    raise ConfigError(f"{option}: moves embedded tokens, and this model has none; use 0, or a model of texts")


def unit(x: Tensor) -> Tensor:
    """Each row of x (B, T, D), divided by its norm; rows of zeros stay zeros.

    The norm is computed of x divided by its largest number, so that no square is too small for fp32.
    """
    tiny = torch.finfo(x.dtype).tiny
    scaled = x / x.abs().amax((1, 2), keepdim=True).clamp_min(tiny)
    return scaled / torch.linalg.vector_norm(scaled, dim=(1, 2), keepdim=True).clamp_min(tiny)


def root_mean_square(embedded: Tensor, lengths: Tensor) -> Tensor:
    """Root mean square of each row's embedded tokens, (B, 1, 1), from (B, T, D) that are 0 on padding."""
    mean = embedded.square().sum((1, 2)) / (lengths * embedded.shape[2])
    return mean.clamp_min(LEAST_SQUARE).sqrt()[:, None, None]


def generator_states(device: torch.device) -> list[Tensor]:
    """States of the generators that dropout draws from: the CPU's and the device's."""
    states = [torch.get_rng_state()]
    return states if device.type == "cpu" else [*states, torch.get_device_module(device).get_rng_state()]


def set_generator_states(states: list[Tensor], device: torch.device) -> None:
    """Restore what ``generator_states`` returned."""
    torch.set_rng_state(states[0])
    if states[1:]:
        torch.get_device_module(device).set_rng_state(states[1])


@contextmanager
def repeating(states: list[Tensor], device: torch.device) -> Iterator[None]:
    """Context in which the generators start from earlier states; after it they go on from where they were."""
    now = generator_states(device)
    set_generator_states(states, device)
    try:
        yield
    finally:
        set_generator_states(now, device)

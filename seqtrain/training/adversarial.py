"""Adversarial training: the loss of rows whose embedded tokens are moved to where it rises fastest.

Shapes: B batch, T time, D features of an embedded token.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from seqtrain.config.task import RegularisedConfig
from seqtrain.data.base import Batch
from seqtrain.tasks.base import Task
from seqtrain.training.moves import check_embeds, generator_states, moved, repeating, unit


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
            there = moved(embedded, direction, self.options.adversarial_epsilon, batch.lengths)
            features, _ = self.model.encode(there, batch)
        return self.options.adversarial * self.task.loss(self.head, features, batch)

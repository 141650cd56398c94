"""Recurrent layers over right-padded rows, without packing.

Shapes: B batch, T time, D features, H hidden.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from seqtrain.layers.dropout import Dropout, LockedDropout, dropped_recurrent_weights
from seqtrain.layers.fused import Fusible, State, can_fuse, cell_kernels, run_fused
from seqtrain.layers.restarts import MoveSteps, Restarts

MakeLayer = Callable[[int, int], nn.Module]  # (input_size, hidden_size) -> one direction of a layer
RunLayer = Callable[[Tensor, State, Tensor | None], tuple[Tensor, State]]  # (x, state, lengths) -> (outputs, state)


def reversal_index(lengths: Tensor, num_steps: int) -> Tensor:
    """Index that reverses the real steps of each row and leaves padding where it is.

    Args:
        lengths: real steps of each row, (B,).
        num_steps: T.

    Returns:
        Index into the B * T steps of all rows, (B, T).
    """
    step = torch.arange(num_steps, device=lengths.device)
    source = torch.where(step < lengths[:, None], lengths[:, None] - 1 - step, step)
    return source + torch.arange(len(lengths), device=lengths.device)[:, None] * num_steps


class RecurrentLayer(Fusible):
    """One recurrent layer, in one direction or in both.

    The backward direction runs over each row with its real steps reversed, so h_t depends only on x_t, ...,
    x_{length-1}. On real steps the outputs equal those of torch's layer on packed input; on padding they have no
    meaning. The fused kernels need no reversal and skip padding: the state they return is the one after a row's last
    real step.

    Args:
        make: builds one direction from D and H: a module with the interface of torch.nn.GRU with ``batch_first``.
        input_size: D.
        hidden_size: H, per direction.
        bidirectional: also run from the end.
        weight_drop: probability of zeroing a weight of the recurrent matrices for a whole batch, in training.
        kernel: implementation: ``torch``, ``auto`` or ``fused``, see seqtrain.layers.fused.
    """

    def __init__(
        self,
        make: MakeLayer,
        input_size: int,
        hidden_size: int,
        bidirectional: bool,
        weight_drop: float = 0.0,
        kernel: str = "torch",
    ):
        super().__init__()
        self.weight_drop, self.kernel = weight_drop, kernel
        self.output_size = hidden_size * (2 if bidirectional else 1)
        self.forward_layer = make(input_size, hidden_size)
        self.backward_layer = make(input_size, hidden_size) if bidirectional else None

    def forward(
        self, x: Tensor, lengths: Tensor, state: State = None, restarts: Restarts | None = None
    ) -> tuple[Tensor, State]:
        """Run over a batch.

        Args:
            x: inputs, (B, T, D), padded on the right.
            lengths: real steps of each row, (B,).
            state: state before the first step; None means zeros.
            restarts: where rows restart from a zero state. The fused kernels run the pieces between them as rows of
                their own; torch's layers run the steps between any two in turn.

        Returns:
            Outputs, (B, T, output_size), and the state after step T, which belongs to a row only if its length is T. A
            bidirectional layer has no state to carry and returns None.
        """
        if self.backward_layer is not None and can_fuse(self.forward_layer, x, self.kernel):
            both = [self.forward_layer, self.backward_layer]
            return run_fused(both, [self.weights(layer) for layer in both], x, lengths)[0], None
        run = self.runner(self.forward_layer, x)
        if restarts is not None and restarts.within and can_fuse(self.forward_layer, x, self.kernel):
            pieces = restarts.pieces
            outputs, state = run(pieces.cut(x), pieces.before(state), pieces.lengths)
            outputs, state = pieces.joined(outputs), pieces.after(state)
        else:
            outputs, state = run_between(run, x, lengths, state, restarts)
        if self.backward_layer is None:
            return outputs, state
        reverse = reversal_index(lengths, x.shape[1])
        backward, _ = self.runner(self.backward_layer, x)(MoveSteps.apply(x, reverse, reverse), None, None)
        return torch.cat([outputs, MoveSteps.apply(backward, reverse, reverse)], dim=-1), None

    def kernels(self) -> list[str]:
        return cell_kernels(self.forward_layer, self.kernel)

    def runner(self, layer: nn.Module, x: Tensor) -> RunLayer:
        """A function that runs one direction over inputs like x, with newly drawn dropped weights in training."""
        weights = self.weights(layer)
        if can_fuse(layer, x, self.kernel):
            return lambda x, state, lengths: run_fused([layer], [weights], x, lengths, state)
        if not self.training or self.weight_drop == 0:
            return lambda x, state, _: layer(x, state)
        return lambda x, state, _: functional_call(layer, weights, (x, state))

    def weights(self, layer: nn.Module) -> dict[str, Tensor]:
        """Parameters of one direction by name, with newly drawn dropped recurrent weights in training."""
        if not self.training or self.weight_drop == 0:
            return dict(layer.named_parameters())
        return dropped_recurrent_weights(layer, self.weight_drop)


def run_between(
    run: RunLayer, x: Tensor, lengths: Tensor, state: State, restarts: Restarts | None
) -> tuple[Tensor, State]:
    """Run one direction over x (B, T, D), in turn over the steps from each step at which any row restarts to the next.

    Returns:
        Outputs, (B, T, H), and the state after step T.
    """
    parts: list[Tensor] = []
    start = 0
    if restarts is not None:
        for step in restarts.steps:
            if step > start:
                part, state = run(x[:, start:step], state, (lengths - start).clamp(0, step - start))
                parts.append(part)
            state = restarts.reset(state, step)
            start = step
    outputs, state = run(x[:, start:], state, (lengths - start).clamp(min=0))
    return torch.cat([*parts, outputs], dim=1) if parts else outputs, state


class RecurrentStack(nn.Module):
    """A stack of recurrent layers.

    Args:
        make: builds one direction of a layer, see RecurrentLayer.
        input_size: D.
        hidden_sizes: H of each layer, first layer first.
        bidirectional: every layer runs in both directions.
        dropout: on the input of every layer except the first.
        locked: use one dropout mask for all steps (LockedDropout).
        layer_norm: normalise the output of every layer.
        residual: add a layer's input to its output, from the second layer on, where both have the same size.
        weight_drop: see RecurrentLayer.
        kernel: see RecurrentLayer.
    """

    def __init__(
        self,
        make: MakeLayer,
        input_size: int,
        hidden_sizes: Sequence[int],
        bidirectional: bool,
        dropout: float = 0.0,
        *,
        locked: bool = False,
        layer_norm: bool = False,
        residual: bool = False,
        weight_drop: float = 0.0,
        kernel: str = "torch",
    ):
        super().__init__()
        self.layers = nn.ModuleList()
        self.norms = nn.ModuleList()
        for hidden_size in hidden_sizes:
            layer = RecurrentLayer(make, input_size, hidden_size, bidirectional, weight_drop, kernel)
            self.layers.append(layer)
            self.norms.append(nn.LayerNorm(layer.output_size) if layer_norm else nn.Identity())
            input_size = layer.output_size
        self.bidirectional = bidirectional
        self.residual = residual
        self.output_size = input_size
        self.dropout = LockedDropout(dropout) if locked else Dropout(dropout)

    def forward(
        self, x: Tensor, lengths: Tensor, state: list[State] | None = None, restarts: Tensor | None = None
    ) -> tuple[Tensor, list[State]]:
        """Run over a batch.

        Args:
            x: inputs, (B, T, D), padded on the right.
            lengths: real steps of each row, (B,).
            state: state of each layer before the first step; None means zeros.
            restarts: true where a row restarts from a zero state, (B, T); None means nowhere.

        Returns:
            Outputs of the last layer, (B, T, output_size), and the state of each layer after step T.
        """
        steps = None if restarts is None else Restarts(restarts, lengths)
        after: list[State] = []
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            outputs, layer_state = layer(self.dropout(x) if i else x, lengths, state[i] if state else None, steps)
            outputs = norm(outputs)
            x = x + outputs if self.residual and i and x.shape == outputs.shape else outputs
            after.append(layer_state)
        return x, after

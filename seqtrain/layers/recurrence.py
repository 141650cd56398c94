"""Recurrent layers over right-padded rows, without packing.

Shapes: B batch, T time, D features in, H hidden.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

State = Any  # a layer's recurrent state: h (1, B, H), or (h, c) for an LSTM

CELLS: dict[str, type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def real_steps(lengths: Tensor, num_steps: int) -> Tensor:
    """Mask of the steps that are no padding, (B, T)."""
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def reversal(lengths: Tensor, num_steps: int) -> Tensor:
    """Index that reverses each row's real steps and leaves padding at its end, over rows laid end to end, (B * T,)."""
    step = torch.arange(num_steps, device=lengths.device)
    source = torch.where(step < lengths[:, None], lengths[:, None] - 1 - step, step)
    return (source + torch.arange(len(lengths), device=lengths.device)[:, None] * num_steps).flatten()


class Permute(torch.autograd.Function):
    """Reorder the steps of (B, T, D) by a permutation that is its own inverse, so that backward is a gather too."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, index: Tensor) -> Tensor:
        """Steps of x in the order of index, (B, T, D)."""
        ctx.save_for_backward(index)
        return x.reshape(-1, x.shape[-1]).index_select(0, index).view(x.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """The same reordering of the gradient."""
        (index,) = ctx.saved_tensors
        return grad.reshape(-1, grad.shape[-1]).index_select(0, index).view(grad.shape), None


class RecurrentLayer(nn.Module):
    """One recurrent layer, in one direction or both.

    The backward direction runs over each row reversed in place: h_t then depends on x_t, ..., x_{length-1} alone. On
    real steps the outputs equal those of torch's own layer on packed input; on padding they mean nothing.

    Args:
        cell: ``rnn`` (tanh), ``lstm`` or ``gru``, computed by the torch.nn layer of that name.
        input_size: D.
        hidden_size: H, per direction.
        bidirectional: also run from the end.
    """

    def __init__(self, cell: str, input_size: int, hidden_size: int, bidirectional: bool):
        super().__init__()
        self.output_size = hidden_size * (2 if bidirectional else 1)
        self.ahead = CELLS[cell](input_size, hidden_size, batch_first=True)
        self.back = CELLS[cell](input_size, hidden_size, batch_first=True) if bidirectional else None
        for module in (self.ahead, self.back):
            if module is not None:
                initialise(module)

    def forward(self, x: Tensor, reverse: Tensor | None, state: State = None) -> tuple[Tensor, State]:
        """Run over a batch.

        Args:
            x: inputs, (B, T, D).
            reverse: ``reversal`` of the batch; needed by a bidirectional layer only.
            state: state before the first step; None is zero.

        Returns:
            Outputs, (B, T, output_size), and the state after step T, which is a row's own only where its length is T;
            None for a bidirectional layer, which has no state to carry.
        """
        outputs, state = self.ahead(x, state)
        if self.back is None:
            return outputs, state
        backward = Permute.apply(self.back(Permute.apply(x, reverse))[0], reverse)
        return torch.cat([outputs, backward], dim=-1), None


class RecurrentStack(nn.Module):
    """Recurrent layers one above the other, with dropout between them.

    Args:
        cell: of every layer, see RecurrentLayer.
        input_size: D.
        hidden_sizes: H of each layer, from below.
        bidirectional: every layer runs in both directions.
        dropout: on the input of every layer but the first.
    """

    def __init__(self, cell: str, input_size: int, hidden_sizes: list[int], bidirectional: bool, dropout: float = 0.0):
        super().__init__()
        self.layers = nn.ModuleList()
        for hidden_size in hidden_sizes:
            self.layers.append(RecurrentLayer(cell, input_size, hidden_size, bidirectional))
            input_size = self.layers[-1].output_size  # type: ignore[assignment]
        self.bidirectional = bidirectional
        self.output_size = input_size
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor, state: list[State] | None = None) -> tuple[Tensor, list[State]]:
        """Run over a batch.

        Args:
            x: inputs, (B, T, D), padded on the right.
            lengths: real steps of each row, (B,).
            state: of each layer before the first step; None is zero.

        Returns:
            Outputs of the last layer, (B, T, output_size), and the state of each layer after step T.
        """
        reverse = reversal(lengths, x.shape[1]) if self.bidirectional else None
        after: list[State] = []
        for i, layer in enumerate(self.layers):
            x, layer_state = layer(self.dropout(x) if i else x, reverse, state[i] if state else None)
            after.append(layer_state)
        return x, after


@torch.no_grad()
def initialise(module: nn.RNNBase) -> None:
    """Orthogonal recurrent matrices, gate by gate; Xavier-uniform input matrices; biases 0, an LSTM's forget bias 1.

    Source: Saxe et al. 2014 (orthogonal); Glorot and Bengio 2010; Gers et al. 2000 (forget bias).
    """
    for name, parameter in module.named_parameters():
        if parameter.dim() == 1:
            nn.init.zeros_(parameter)
            if isinstance(module, nn.LSTM) and name.startswith("bias_ih"):
                parameter[module.hidden_size : 2 * module.hidden_size] = 1.0
            continue
        for gate in parameter.split(module.hidden_size):
            (nn.init.orthogonal_ if name.startswith("weight_hh") else nn.init.xavier_uniform_)(gate)

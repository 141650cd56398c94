"""Initial weights of recurrent layers: torch's own and those of seqtrain.layers.cells."""

import torch
from torch import Tensor, nn

from seqtrain.layers.cells import CandidateGRUCell, CellLayer, CoupledGRUCell, GRUCell

# Index of the gate that keeps the state, and +1 if a higher gate value keeps the state, -1 if it forgets.
KEEPING_GATE: dict[type, tuple[int, int]] = {
    nn.LSTM: (1, +1),
    nn.GRU: (1, +1),
    GRUCell: (0, -1),
    CandidateGRUCell: (0, -1),
    CoupledGRUCell: (0, +1),
}


@torch.no_grad()
def initialise(
    layer: nn.Module, recurrent: str = "orthogonal", forget_bias: float = 1.0, chrono: int | None = None
) -> None:
    """Initialise one direction of a recurrent layer. Biases without an option below are set to 0.

    Args:
        layer: torch.nn.RNN, LSTM or GRU with one layer and one direction, or a CellLayer.
        recurrent: initialisation of the recurrent matrices, gate by gate: ``orthogonal`` (Saxe et al. 2014), ``xavier``
            (Glorot and Bengio 2010) or ``uniform`` in +-1/sqrt(H), torch's default. Input matrices are Xavier-uniform
            gate by gate, or uniform too with ``uniform``.
        forget_bias: bias of an LSTM's forget gate (Gers et al. 2000).
        chrono: longest expected dependency (steps). The bias of the gate that keeps the state becomes log u, with u
            uniform in [1, chrono - 1]; the bias of an LSTM's input gate becomes -log u (Tallec and Ollivier 2018, eq.
            16). None uses ``forget_bias``. Cells without such a gate are not affected.
    """
    owner = layer.cell if isinstance(layer, CellLayer) else layer
    hidden_size = int(owner.hidden_size)  # type: ignore[arg-type]
    for name, parameter in owner.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(parameter)
        elif recurrent == "uniform":
            nn.init.uniform_(parameter, -(hidden_size**-0.5), hidden_size**-0.5)
        else:
            orthogonal = recurrent == "orthogonal" and name.startswith("weight_hh")
            for gate in parameter.split(hidden_size):
                (nn.init.orthogonal_ if orthogonal else nn.init.xavier_uniform_)(gate)
    bias = first_bias(owner)
    if isinstance(owner, nn.LSTM):
        bias[hidden_size : 2 * hidden_size] = forget_bias
    if chrono is not None and type(owner) in KEEPING_GATE:
        gate_index, sign = KEEPING_GATE[type(owner)]
        values = torch.empty(hidden_size, device=bias.device).uniform_(1, chrono - 1).log_()
        bias[gate_index * hidden_size : (gate_index + 1) * hidden_size] = sign * values
        if isinstance(owner, nn.LSTM):
            bias[:hidden_size] = -values


def first_bias(layer: nn.Module) -> Tensor:
    """The bias to set. torch's layers have a second bias, which stays 0."""
    return next(parameter for name, parameter in layer.named_parameters() if name.startswith("bias"))

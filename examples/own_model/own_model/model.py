"""minGRU: a gated recurrence without recurrent matrices.

Shapes: B batch, T time, D features in, H hidden.
"""

import torch
from torch import Tensor, nn

from own_model.config import MinGRUConfig
from seqtrain.data.spec import DataSpec
from seqtrain.layers.recurrence import RecurrentStack
from seqtrain.models.sequence import SequenceModel, build_embedding, build_pooling, dropout_rate


class MinGRU(nn.Module):
    """One direction of a layer, with the interface of torch.nn.GRU with ``batch_first``.

    z_t = sigmoid(W_z x_t + b_z);  h~_t = W_h x_t + b_h;  h_t = (1 - z_t) * h_{t-1} + z_t * h~_t.

    All products are made at once before the loop, in which numbers are only weighed against each other.

    Args:
        input_size: D.
        hidden_size: H.

    Source: Feng et al. 2024, "Were RNNs all we needed?", section 3.1; there a parallel scan takes the loop's place.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.gate = nn.Linear(input_size, hidden_size)
        self.candidate = nn.Linear(input_size, hidden_size)
        for layer in (self.gate, self.candidate):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """States (B, T, H) of inputs (B, T, D), and the state after step T, (B, H); ``state`` None is zero."""
        z, candidate = torch.sigmoid(self.gate(x)), self.candidate(x)
        h = torch.zeros_like(candidate[:, 0]) if state is None else state
        states = []
        for z_t, candidate_t in zip(z.unbind(1), candidate.unbind(1), strict=True):
            h = torch.lerp(h, candidate_t, z_t)
            states.append(h)
        return torch.stack(states, dim=1), h


class MinGRUModel(SequenceModel):
    """Embedding -> minGRU layers -> (pooling)."""

    @classmethod
    def from_config(cls, config: MinGRUConfig, spec: DataSpec, *, causal: bool, pooled: bool) -> "MinGRUModel":
        """Build the model that a config describes.

        Args:
            config: the options.
            spec: of the data.
            causal: the task predicts the next step, so no feature may depend on later ones.
            pooled: the task makes one prediction per sequence.
        """
        bidirectional = not causal
        sizes = [config.hidden_size] * config.num_layers
        dropout = dropout_rate(config, spec)
        encoder = RecurrentStack(MinGRU, config.embedding.embed_dim, sizes, bidirectional, dropout)
        return cls(
            config,
            build_embedding(config, spec),
            encoder,
            build_pooling(config, encoder.output_size, bidirectional=bidirectional, pooled=pooled),
            dropout,
            causal=causal,
        )

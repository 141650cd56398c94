"""Recurrent models, with optional attention before the recurrence, after it, or as pooling."""

from functools import partial

from torch import nn

from seqtrain.config.attention import Memory
from seqtrain.config.recurrent import Cell, RecurrentConfig
from seqtrain.config.sequence import Pooling as PoolingKind
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.cells import CandidateGRUCell, CellLayer, CoupledGRUCell, GRUCell
from seqtrain.layers.initialisation import initialise
from seqtrain.layers.recurrence import RecurrentStack
from seqtrain.models.sequence import (
    SequenceModel,
    build_attention,
    build_embedding,
    build_pooling,
    build_wide,
    dropout_rate,
)


def make_layer(config: RecurrentConfig, input_size: int, hidden_size: int) -> nn.Module:
    """One initialised direction of a recurrent layer: torch's layer for rnn, lstm and gru, else a ``CellLayer``."""
    layer: nn.Module
    match config.cell:
        case Cell.rnn:
            layer = nn.RNN(input_size, hidden_size, nonlinearity=config.nonlinearity.value, batch_first=True)
        case Cell.lstm:
            layer = nn.LSTM(input_size, hidden_size, batch_first=True)
        case Cell.gru if config.reset_after:
            layer = nn.GRU(input_size, hidden_size, batch_first=True)
        case Cell.gru:
            layer = CellLayer(GRUCell(input_size, hidden_size))
        case Cell.gru_candidate:
            layer = CellLayer(CandidateGRUCell(input_size, hidden_size))
        case Cell.gru_coupled:
            layer = CellLayer(CoupledGRUCell(input_size, hidden_size))
    initialise(layer, config.recurrent_init.value, config.forget_bias, config.chrono_init)
    return layer


def build_stack(config: RecurrentConfig, input_size: int, dropout: float, *, bidirectional: bool) -> RecurrentStack:
    """The recurrent layers that a config describes.

    Args:
        config: the options.
        input_size: D.
        dropout: between the layers.
        bidirectional: every layer runs in both directions.
    """
    return RecurrentStack(
        partial(make_layer, config),
        input_size,
        config.hidden_sizes or [config.hidden_size] * config.num_layers,
        bidirectional,
        dropout,
        locked=config.locked_dropout,
        layer_norm=config.layer_norm,
        residual=config.residual,
        weight_drop=config.weight_drop,
        kernel=config.kernel.value,
    )


class RecurrentModel(SequenceModel):
    """Embedding -> (input attention) -> recurrent layers -> (output attention) -> (pooling)."""

    @classmethod
    def from_config(cls, config: RecurrentConfig, spec: DataSpec, *, causal: bool, pooled: bool) -> "RecurrentModel":
        """Build the model that a config describes.

        Args:
            config: the options.
            spec: of the data.
            causal: the task predicts the next step, so no feature may depend on later steps.
            pooled: the task makes one prediction per sequence.

        Raises:
            ConfigError: if the config sets bidirectional for a causal task, or num_heads does not divide the memory
                size.
        """
        if causal and config.bidirectional:
            raise ConfigError("model.bidirectional=True: this task predicts the next step; use false or null")
        bidirectional = not causal if config.bidirectional is None else config.bidirectional
        embed_dim, dropout = config.embedding.embed_dim, dropout_rate(config, spec)
        embedding = build_embedding(config, spec)
        before = build_attention(config.input_attention, embed_dim, embed_dim, "model.input_attention")
        encoder = build_stack(config, embed_dim, dropout, bidirectional=bidirectional)
        attend_inputs = config.output_attention.memory is Memory.inputs
        memory_size = embed_dim if attend_inputs else encoder.output_size
        after = build_attention(config.output_attention, encoder.output_size, memory_size, "model.output_attention")
        pools_first = pooled and config.pooling is PoolingKind.last  # then the pooled state is the query
        size = encoder.output_size if after is None or pools_first else after.output_size
        return cls(
            config,
            embedding,
            encoder,
            build_pooling(config, size, bidirectional=bidirectional, pooled=pooled),
            dropout,
            locked=config.locked_dropout,
            input_attention=before,
            output_attention=after,
            attend_inputs=attend_inputs,
            wide=build_wide(config, spec),
            causal=causal,
        )

"""Models without recurrence: self-attention blocks over the embedded inputs."""

from seqtrain.config.self_attention import SelfAttentionConfig
from seqtrain.data.spec import DataSpec
from seqtrain.layers.self_attention import SelfAttentionStack
from seqtrain.models.sequence import SequenceModel, build_embedding, build_pooling, build_wide, dropout_rate


class SelfAttentionModel(SequenceModel):
    """Embedding -> self-attention blocks -> (pooling)."""

    @classmethod
    def from_config(
        cls, config: SelfAttentionConfig, spec: DataSpec, *, causal: bool, pooled: bool
    ) -> "SelfAttentionModel":
        """Build the model that a config describes; arguments as in ``RecurrentModel.from_config``."""
        dropout = dropout_rate(config, spec)
        encoder = SelfAttentionStack(
            config.embedding.embed_dim,
            config.num_layers,
            config.num_heads,
            config.feed_forward_size,
            qkv_tanh=config.qkv_tanh,
            dropout=dropout,
            positions=config.positions,
            causal=causal,
        )
        return cls(
            config,
            build_embedding(config, spec),
            encoder,
            build_pooling(config, encoder.output_size, bidirectional=False, pooled=pooled),
            dropout,
            wide=build_wide(config, spec),
            causal=causal,
        )

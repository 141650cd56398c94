"""Options of the models with an encoder and a decoder."""

from dataclasses import dataclass, field
from typing import Any

from seqtrain.config.attention import AttentionConfig, Memory, Score
from seqtrain.config.base import Targets, require
from seqtrain.config.recurrent import RecurrentConfig
from seqtrain.config.self_attention import SelfAttentionConfig
from seqtrain.config.sequence import Pooling


@dataclass
class DecoderConfig(RecurrentConfig):
    """A recurrent encoder, and a recurrent decoder that attends to the encoder's states.

    The recurrent options apply to both.
    """

    attention: AttentionConfig = field(default_factory=lambda: AttentionConfig(score=Score.additive))
    """Attention of the decoder's states over the encoder's states."""

    def meaning(self) -> dict[str, Any]:
        return super().meaning() | self.attention.meaning("attention")

    def widths(self, causal: bool) -> dict[str, int]:
        directions = 2 if self.reads_both_ways() else 1
        return {"hidden_size" if self.hidden_sizes is None else "hidden_sizes": self.attention.divisor(directions)}

    def reads_both_ways(self) -> bool:
        """Whether the encoder also reads backwards."""
        return bool(self.bidirectional)

    def check(self, key: str) -> None:
        super().check(key)
        require(self.pooling is Pooling.last, f"{key}.pooling", self.pooling.value,
                "left out for this model: its features are the decoder's states")  # fmt: skip
        for name in ("input_attention", "output_attention"):
            score = getattr(self, name).score
            require(score is Score.none, f"{key}.{name}.score", score.value,
                    f"none for this model, whose attention is {key}.attention")  # fmt: skip
        self.attention.check(f"{key}.attention")
        memory = self.attention.memory
        require(memory is Memory.states, f"{key}.attention.memory", memory.value,
                "left out: it attends to the encoder's states")  # fmt: skip


@dataclass
class EncoderDecoderConfig(DecoderConfig):
    """Forecaster: a recurrent encoder reads the window, and its last state starts a decoder over the horizon.

    ``embedding.embed_dim`` is the size of the vectors that both read: of the window's steps, of the horizon's
    positions, and of the known future covariates.
    """

    targets = Targets.future

    def check(self, key: str) -> None:
        super().check(key)
        require(not self.bidirectional, f"{key}.bidirectional", True,
                "false or null for this model: the encoder's last state starts the decoder")  # fmt: skip


@dataclass
class TranslatorConfig(DecoderConfig):
    """Translator: a recurrent encoder reads the source, and a recurrent decoder predicts the next token of the target.

    ``embedding.embed_dim`` is the size of the vectors of source and target tokens; ``bidirectional`` is that of the
    encoder, and null is true.
    """

    targets = Targets.translation

    input_feeding: bool = False
    """The decoder also reads its features of the step before, so that it knows what it attended to. It then runs step
    by step in training too."""

    def reads_both_ways(self) -> bool:
        return self.bidirectional is not False

    def meaning(self) -> dict[str, Any]:
        return super().meaning() | {"input_feeding": self.input_feeding}

    def check(self, key: str) -> None:
        super().check(key)
        residual = self.attention.residual
        require(residual, f"{key}.attention.residual", residual,
                "left out: state and context are joined by a layer of their own")  # fmt: skip
        for name, off in (("locked_dropout", False), ("weight_drop", 0.0)):
            value = getattr(self, name)
            require(not self.input_feeding or value == off, f"{key}.{name}", value,
                    f"{off} with {key}.input_feeding=true, which draws masks step by step")  # fmt: skip


@dataclass
class AttentionTranslatorConfig(SelfAttentionConfig):
    """Translator without recurrence: self-attention blocks read the source, and decoder blocks predict the target.

    The options apply to both. ``embedding.embed_dim`` is the size of the vectors of source and target tokens, and of
    all blocks. With ``positions``, those of the source are sinusoidal, and those of the target rotary.
    """

    targets = Targets.translation

    def check(self, key: str) -> None:
        super().check(key)
        require(self.pooling is Pooling.mean, f"{key}.pooling", self.pooling.value,
                "left out for this model: it has features of each target token")  # fmt: skip

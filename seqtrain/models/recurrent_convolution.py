"""Recurrent layers beside convolutions over the same steps, joined before the head (LSTM-FCN, GRU-FCN).

Shapes: B batch, T time, D features of an input, C filters, H features of the recurrent part.
"""

from typing import Any

import torch
from torch import Tensor, nn

from seqtrain.config.recurrent import RecurrentConvolutionConfig
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.layers.convolution import ConvolutionStack, RunningScale, dilations_within
from seqtrain.layers.masks import real_steps
from seqtrain.layers.memory import append_steps
from seqtrain.layers.pooling import Pooling
from seqtrain.models.recurrent import RecurrentModel
from seqtrain.models.sequence import window_features


class RecurrentConvolutionModel(RecurrentModel):
    """A recurrent model, and convolutions over its inputs whose mean over time is joined to its features.

    The convolutions read tokens as the embedded vectors, and numbers as they are. Features of single steps, for tasks
    that predict one thing a step, are joined without the mean.

    Source: Karim et al. 2018, "LSTM fully convolutional networks for time series classification", and Elsayed et al.
    2018 for the GRU. There the recurrent part reads all steps of a univariate series at once, as the features of one
    step; here it reads them in order of time.
    """

    by_depth = ("embedding", "input_attention", "convolution", "encoder", "output_attention", "pooling")
    convolution: ConvolutionStack
    average: Pooling | None
    scale: RunningScale | None

    @classmethod
    def from_config(  # type: ignore[override]  # options of its own
        cls, config: RecurrentConvolutionConfig, spec: DataSpec, *, causal: bool, pooled: bool
    ) -> "RecurrentConvolutionModel":
        """Build the model that a config describes; arguments as in ``RecurrentModel.from_config``."""
        model = super().from_config(config, spec, causal=causal, pooled=pooled)
        assert isinstance(model, cls)
        size = config.embedding.embed_dim if spec.num_features is None else window_features(config, spec)
        dilations = config.dilations or dilations_within((spec.longest or 0) // 4, config.kernel_sizes)
        model.convolution = ConvolutionStack(size, config.filters, config.kernel_sizes, dilations, causal)
        model.average = Pooling("mean", model.convolution.output_size, bidirectional=False) if pooled else None
        model.scale = RunningScale(model.convolution.output_size) if pooled and config.scale_means else None
        model.output_size += model.convolution.output_size
        return model

    def encode(self, inputs: Tensor, batch: Batch, state: Any = None) -> tuple[Tensor, Any]:
        """Run over the embedded inputs of a batch; features are (B, C + H) or (B, T, C + H)."""
        features, after = super().encode(inputs, batch, state)
        read = inputs if isinstance(self.embedding, nn.Embedding) else batch.inputs
        convolved = self.convolved(read, batch, state or {}, after)
        if self.average is not None:
            convolved = self.average(convolved, batch.lengths)
        if self.scale is not None:
            convolved = self.scale(convolved, counts=bool(batch.weight))
        # The wide part stays last, as the head expects it.
        return torch.cat([convolved.to(features.dtype), features], dim=-1), after

    def convolved(self, inputs: Tensor, batch: Batch, before: dict[str, Any], after: dict[str, Any]) -> Tensor:
        """The convolutions of a segment, (B, T, C).

        Args:
            inputs: what they read, (B, T, D).
            batch: the batch.
            before: state before the segment, with the last steps that they read.
            after: state after it, to which its own are added.
        """
        T = inputs.shape[1]
        real = real_steps(batch.lengths, T)
        counted = real if batch.weight else torch.zeros_like(real)
        if not self.causal:
            return self.convolution(inputs, real, counted)
        documents = torch.zeros(real.shape, dtype=torch.long, device=real.device)
        if batch.restarts is not None:
            documents = batch.restarts.cumsum(1)
        remembered = before.get("convolved")
        if remembered is not None:
            documents = documents + remembered["documents"][:, -1:]
        keep = max(self.convolution.reach, 1)  # one step at least, whose document the next segment goes on with
        names = ("inputs", "documents")
        old = remembered or dict.fromkeys(names)
        pairs = [append_steps(old[name], new, keep) for name, new in zip(names, (inputs, documents), strict=True)]
        after["convolved"] = dict(zip(names, (kept for _, kept in pairs), strict=True))
        (whole, numbers), earlier = (steps for steps, _ in pairs), pairs[0][0].shape[1] - T
        padding = (earlier, 0)
        real = nn.functional.pad(real, padding, value=True)
        counted = nn.functional.pad(counted, padding, value=False)
        several = batch.restarts is not None or remembered is not None
        return self.convolution(whole, real, counted, numbers if several else None)[:, earlier:]

"""model.kernel: what insists on the fused kernels is told where they cannot be used."""

from collections.abc import Callable

import pytest

from seqtrain.commands import build
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError

Compose = Callable[..., Config]


def test_fused_is_refused_where_it_cannot_be_used(composed: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError, match=r"model\.kernel='fused': must be auto or torch with model\.cell=gru_candidate"
    ):
        composed("model=gru_candidate", "model.kernel=fused")
    config = composed("model=gru", "model.kernel=fused", "device=cpu")
    build.check_model(config)
    build.check_model(composed("model=gru", "model.kernel=fused", "device=cpu", "trainer.precision=bf16"))
    message = r"model\.kernel=fused: is for the CPU, and the device is meta; use auto, or device=cpu"
    with pytest.raises(ConfigError, match=message):
        build.check_model(composed("model=gru", "model.kernel=fused", "device=meta"))
    build.check_model(composed("model=lstm", "model.kernel=fused", "device=cpu"))
    with pytest.raises(ConfigError, match=r"model\.kernel=fused: in bf16 torch's own LSTM is faster; use auto, or"):
        build.check_model(composed("model=lstm", "model.kernel=fused", "device=cpu", "trainer.precision=bf16"))
    monkeypatch.setattr(build, "unavailable", lambda: "no C++ compiler is found")
    with pytest.raises(ConfigError, match=r"model\.kernel=fused: no C\+\+ compiler is found"):
        build.check_model(config)
    build.check_model(composed("model=gru", "device=cpu"))
    build.check_model(composed("model=lstm", "device=cpu"))

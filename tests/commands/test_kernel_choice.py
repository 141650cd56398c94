"""What computes a run: kernels and bf16 by what the machine has; one line where what was asked for is not there."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seqtrain.commands import kernels
from seqtrain.commands.build import build_model
from seqtrain.commands.session import start
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.kernels import machine
from seqtrain.kernels.compile import UNITS
from seqtrain.layers.fused import kernels_of
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.training import device
from seqtrain.training.ranks import SOLO

Compose = Callable[..., Config]
SPEC = DataSpec(targets="class", vocab_size=50, pad_id=0, class_names=["a", "b"], class_counts=[5, 5])


def test_fused_is_refused_where_it_cannot_be_used(composed: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError, match=r"model\.kernel='fused': must be auto or torch with model\.cell=gru_candidate"
    ):
        composed("model=gru_candidate", "model.kernel=fused")
    config = composed("model=gru", "model.kernel=fused", "device=cpu")
    kernels.check_kernel(config)
    for name in ("gru", "lstm"):
        kernels.check_kernel(composed(f"model={name}", "model.kernel=fused", "device=cpu", "trainer.precision=bf16"))
    message = r"model\.kernel=fused: is only for the CPU, and the device is meta; use auto, or device=cpu"
    with pytest.raises(ConfigError, match=message):
        kernels.check_kernel(composed("model=gru", "model.kernel=fused", "device=meta"))
    monkeypatch.setattr(kernels, "compilers", list)
    with pytest.raises(ConfigError, match=r"model\.kernel=fused: no C\+\+ compiler is found; install"):
        kernels.check_kernel(config)
    kernels.check_kernel(composed("model=gru", "device=cpu"))


def test_fused_is_refused_where_it_cannot_be_compiled(
    small: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "unavailable", lambda units: "c++ fails: no room")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    with pytest.raises(ConfigError, match=r"model\.kernel=fused: c\+\+ fails: no room; fix that, or use auto"):
        start(small("model=gru", "model.kernel=fused"), run, SOLO)


@pytest.mark.parametrize(
    "overrides, expected",
    [
        ("model=gru", {"gru_after"}),
        ("model=gru_attn model.reset_after=false", {"gru_before", "additive_pooling"}),
        ("model=lstm model.pooling=attention_max", {"lstm", "additive_pooling"}),
        ("model=rnn model.nonlinearity=relu", {"rnn_relu"}),
        ("model=gru_candidate", set()),
        ("model=gru_attn model.kernel=torch", set()),
        ("model=self_attn model.pooling=attention", {"additive_pooling"}),
    ],
)
def test_what_a_config_announces_is_what_its_model_uses(composed: Compose, overrides: str, expected: set[str]) -> None:
    config = composed(*overrides.split(), "device=cpu")
    assert set(config.model.kernels()) == kernels_of(build_model(config, SPEC).model) == expected
    assert expected <= UNITS.keys()


def test_bf16_is_fp32_where_the_cpu_has_no_such_products(
    small: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(device, "bf16_products", lambda: False)
    monkeypatch.setattr(machine, "bf16_products", lambda: False)
    found = []
    for precision in ("fp32", "bf16"):
        run = RunDirectory.claim(tmp_path / precision, exact=True)
        train(small("model=lstm", f"trainer.precision={precision}", "trainer.epochs=1"), run)
        found.append(read_json(run.results_path)["scores"])
    assert found[0] == found[1]
    messages = [record.getMessage() for record in caplog.records]
    (note,) = [message for message in messages if message.startswith("trainer.precision")]
    assert note.startswith("trainer.precision=bf16: this CPU has no bf16 matrix products; fp32 is used")


def test_what_oneDNN_is_held_to_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for name, expected in (("AVX2", False), ("AVX512_CORE", False), ("AVX512_CORE_AMX", True), ("", True)):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", name)
        assert machine.bf16_products() is expected

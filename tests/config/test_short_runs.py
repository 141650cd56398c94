"""The nodes ``budget`` and ``debug``: what they accept, and how they compose."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seqtrain.cli.hydra_setup import conf_directory
from seqtrain.config.debug import DebugMode
from seqtrain.config.loading import from_yaml, to_config, to_yaml
from seqtrain.config.root import Config
from seqtrain.config.sweep import BudgetConfig
from seqtrain.errors import ConfigError

Compose = Callable[..., Config]

MODES = sorted(path.stem for path in (conf_directory() / "debug").glob("*.yaml"))


@pytest.mark.parametrize(
    ("written", "number"),
    [("500k", 500_000), ("500K", 500_000), ("2M", 2_000_000), ("1.5m", 1_500_000), ("1B", 10**9), ("1_000_000", 10**6),
     ("5e5", 500_000), ("123456", 123_456), ("0.3k", 300)],
)  # fmt: skip
def test_numbers_of_parameters(composed: Compose, written: str, number: int) -> None:
    assert composed(f"budget.params={written}").budget.number() == number


@pytest.mark.parametrize("written", ["many", "500kk", "k", "0", "-5k", "1e400", "1e80", "", "5 00", "2G"])
def test_what_is_no_number(composed: Compose, written: str) -> None:
    with pytest.raises(ConfigError, match=r"budget\.params='.*': must be a number of parameters from 1 to 1000B"):
        BudgetConfig(written).number()
    with pytest.raises(ConfigError, match=r"budget\.params"):
        composed(f"budget.params='{written}'")


@pytest.mark.parametrize("model", ["linear", "nlinear", "dlinear"])
def test_linear_forecasters_have_no_width(composed: Compose, model: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"budget\.params='500k': must be null with model={model}, which has no width"
    ):
        composed(f"model={model}", "data=sine", "budget.params=500k")


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_composes_and_comes_back(composed: Compose, tmp_path: Path, mode: str) -> None:
    assert mode in {m.value for m in DebugMode}
    for experiment in ([], ["+experiment=tiny_shakespeare_lstm"]):
        config = composed(f"debug={mode}", *experiment)
        assert config.debug.mode.value == mode
        assert config.model.name == ("lstm" if experiment else "gru_attn")
        (tmp_path / "config.yaml").write_text(to_yaml(config))
        assert to_config(from_yaml(tmp_path / "config.yaml")) == config
    assert composed(f"debug={mode}", "model=lstm", "trainer.lr=0.5").trainer.lr == 0.5


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["debug.mode=dry"], "debug.mode='dry': must be chosen by debug=dry"),
        (["debug.steps=3"], "debug.steps=3: must be given with debug=overfit, dry or profile"),
        (["debug=dry", "debug.steps=0"], "debug.steps=0: must be at least 1"),
        (["debug=overfit", "debug.rows=0"], "debug.rows=0: must be at least 1"),
        (["debug=dry", "+debug.batches=1"], "debug.batches: no such key in debug; did you mean eval_batches?"),
    ],
)
def test_debug_values_out_of_range(composed: Compose, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        composed(*overrides)
    assert message in str(error.value)

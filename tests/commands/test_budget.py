"""The width that gives a model its number of parameters, against formulas and against every model that is built."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seqtrain.cli.hydra_setup import conf_directory
from seqtrain.commands.budget import get, solve_width
from seqtrain.commands.build import build_model
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.train import resume, train
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.training.device import seed_everything

Compose = Callable[..., Config]

V, C = 3000, 7
CLASSES = DataSpec(
    targets="class", vocab_size=V, pad_id=0, class_names=[str(i) for i in range(C)], class_counts=[9] * C
)
TEXT = DataSpec(targets="next token", vocab_size=V, by_frequency=True, segment_length=16)
SERIES = DataSpec(
    targets="future", num_features=5, num_targets=2, num_future=3, lookback=96, horizon=48,
    naive_errors=[[[1.0, 1.0]], [[1.0, 1.0]]], target_names=["a", "b"],
)  # fmt: skip
PAIRS = DataSpec(targets="translation", vocab_size=V, target_vocab_size=V, pad_id=0)
SPECS = {"docstrings": CLASSES, "stdlib": TEXT, "sine": SERIES, "pair_files": PAIRS}

OWN_DATA = {name: "sine" for name in ("segrnn", "gru_seq2seq_attn", "lstm_seq2seq")}
OWN_DATA |= {name: "pair_files" for name in ("gru_translator", "lstm_translator", "attn_translator")}
NO_WIDTH = {"linear", "nlinear", "dlinear"}
MODELS = sorted({path.stem for path in (conf_directory() / "model").glob("*.yaml")} - NO_WIDTH)
CASES = [(model, OWN_DATA.get(model, "docstrings")) for model in MODELS]
CASES += [(model, data) for model in ("lstm", "self_attn", "lstm_multihead_attn") for data in ("stdlib", "sine")]


def solved(config: Config, spec: DataSpec) -> Config:
    """A copy of the configuration with its width found."""
    config = replace(config, budget=replace(config.budget))
    solve_width(config, spec)
    return config


def parameters(config: Config, spec: DataSpec) -> int:
    """Of the real model, all whose shape has the size of the vocabulary left out."""
    built = build_model(replace(config, device="cpu"), spec)
    named = {id(p): p for module in (built.model, built.head) for p in module.parameters()}
    return sum(p.numel() for p in named.values() if V not in p.shape)


@pytest.mark.parametrize(("model", "data"), CASES)
def test_every_model_on_every_kind_of_data(composed: Compose, model: str, data: str) -> None:
    config = solved(composed(f"model={model}", f"data={data}", "budget.params=500k", "device=cpu"), SPECS[data])
    config.model.check("model")
    number = parameters(config, SPECS[data])
    assert config.budget.found == number
    assert abs(number / 500_000 - 1) <= 0.02


@pytest.mark.parametrize(
    "options",
    [
        "model=stacked_gru",
        "model=lstm model.hidden_sizes=[10,1000,400]",
        "model=gru model.num_layers=3 model.layer_norm=true model.pooling=attention_max",
        "model=self_attn model.num_heads=5 model.embedding.embed_dim=20 model.num_layers=1",
        "model=self_attn model.num_layers=6 model.feed_forward_size=20",
        "model=gru_residual_attn model.embedding.embed_dim=32",
    ],
)
@pytest.mark.parametrize("budget", [60_000, 3_000_000])
def test_options_of_the_model(composed: Compose, options: str, budget: int) -> None:
    config = solved(composed(*options.split(), f"budget.params={budget}"), CLASSES)
    config.model.check("model")
    assert abs(parameters(config, CLASSES) / budget - 1) <= 0.02


@pytest.mark.parametrize(("pooling", "parts"), [("last", 1), ("concat", 3)])
@pytest.mark.parametrize("budget", [2_000, 10_000, 77_777, 500_000, 5_000_000])
def test_the_width_is_the_best_there_is(composed: Compose, budget: int, pooling: str, parts: int) -> None:
    """A GRU in both directions, of which the number of parameters is known by hand."""
    E = 16

    def formula(H: int) -> int:
        direction = 3 * H * (E + H) + 6 * H
        return 2 * direction + parts * 2 * H * C + C

    best = min(range(1, 2000), key=lambda H: abs(formula(H) - budget))
    sizes = [f"model.embedding.embed_dim={E}", f"budget.params={budget}"]
    config = composed("model=gru", f"model.pooling={pooling}", *sizes)
    config = solved(config, CLASSES)
    assert get(config.model, "hidden_size") == best
    assert config.budget.found == formula(best)


@pytest.mark.parametrize("budget", [*range(190_000, 330_000, 8_000)])
def test_a_dip_where_tied_vectors_need_no_projection_misleads_nobody(composed: Compose, budget: int) -> None:
    """An LSTM with tied vectors of 160 numbers: at that size it has 25,600 parameters fewer than the trend."""
    E = 160

    def formula(H: int) -> int:
        return 4 * H * (E + H) + 8 * H + (H * E if H != E else 0)

    best = min(abs(formula(H) - budget) for H in range(1, 600) if H != E)
    config = solved(
        composed("model=lstm", f"model.embedding.embed_dim={E}", "data=stdlib", f"budget.params={budget}"), TEXT
    )
    assert config.budget.found is not None
    assert config.budget.found == formula(get(config.model, "hidden_size"))
    assert abs(config.budget.found - budget) <= best


def test_softmax_tables_do_not_count(composed: Compose) -> None:
    found = {
        solved(composed("model=gru", "data=stdlib", "budget.params=300k", "task.tie_weights=false", option), TEXT)
        .budget.found
        for option in ("task.softmax=full", "task.softmax=adaptive")
    }  # fmt: skip
    H = get(solved(composed("model=gru", "data=stdlib", "budget.params=300k", "task.tie_weights=false"), TEXT).model,
            "hidden_size")  # fmt: skip
    assert found == {3 * H * (128 + H) + 6 * H}


def test_frozen_vectors_keep_their_size(composed: Compose, tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    config = solved(composed("model=self_attn", f"model.embedding.path={path}", "budget.params=400k"), CLASSES)
    assert get(config.model, "embedding.embed_dim") == 128 and get(config.model, "feed_forward_size") != 256
    assert abs(parameters(config, CLASSES) / 400_000 - 1) <= 0.02


def test_heads_divide_and_what_that_costs_is_said(composed: Compose, caplog: pytest.LogCaptureFixture) -> None:
    options = ["model=lstm_multihead_attn", "model.output_attention.num_heads=16", "model.bidirectional=false"]
    caplog.set_level("INFO")
    config = solved(composed(*options, "budget.params=27k"), CLASSES)
    assert get(config.model, "hidden_size") % 16 == 0
    assert config.budget.found is not None
    off = config.budget.found / 27_000 - 1
    assert 0.02 < abs(off) < 0.1
    assert f"budget.params=27k: model.hidden_size={get(config.model, 'hidden_size')} " in caplog.text
    assert f"this is off by {100 * off:+.1f} %, and no width comes closer" in caplog.text


@pytest.mark.parametrize(("budget", "sizes"), [("50", "hidden_size=1"), ("20k", "hidden_size=32")])
def test_what_no_width_comes_near(composed: Compose, budget: str, sizes: str) -> None:
    options = ["model=lstm_multihead_attn", "model.output_attention.num_heads=16", "model.bidirectional=false"]
    config = composed(*(options if budget == "20k" else ["model=gru_attn"]), f"budget.params={budget}")
    with pytest.raises(ConfigError, match=rf"budget.params={budget}: the closest width, model.{sizes}, has .* \(.*%\)"):
        solved(config, CLASSES)


def test_solving_takes_no_random_numbers_and_no_second_time(composed: Compose) -> None:
    config = composed("model=self_attn", "budget.params=100k", "device=cpu")
    seed_everything(1)
    before = torch.get_rng_state()
    solve_width(config, CLASSES)
    assert torch.equal(before, torch.get_rng_state())
    model = config.model
    solve_width(config, DataSpec(targets="class"))  # needs nothing: the width is there
    assert config.model is model


def test_the_run_directory_alone_reproduces_the_width(
    small: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    config = small("model=gru", "budget.params=3k", "trainer.max_steps=3", "trainer.schedule=constant")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    saved = to_config(from_yaml(run.config_path))
    width = get(saved.model, "hidden_size")
    assert saved.budget.params == "3k" and saved.budget.found is not None and width != 12
    assert f"budget.params=3k: model.hidden_size={width} ({saved.budget.found:,} parameters without" in caplog.text
    reported = read_json(run.results_path)

    def refuse(*arguments: Any) -> int:
        raise AssertionError("solved again")

    monkeypatch.setattr("seqtrain.commands.budget.closest", refuse)
    assert evaluate(saved, saved, run) == reported["scores"]["gru"]["test"]
    resume(saved, replace(saved, trainer=replace(saved.trainer, max_steps=5)), run)
    again = RunDirectory.claim(tmp_path / "again", exact=True)
    train(to_config(from_yaml(run.config_path)), again)
    assert get(to_config(from_yaml(again.config_path)).model, "hidden_size") == width

    explicit = small("model=gru", f"model.hidden_size={width}", "trainer.max_steps=3", "trainer.schedule=constant")
    plain = RunDirectory.claim(tmp_path / "plain", exact=True)
    train(explicit, plain)
    assert read_json(plain.results_path)["scores"] == reported["scores"]

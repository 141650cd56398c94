from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from seqtrain.config.loading import flatten, from_yaml, to_config, to_yaml
from seqtrain.config.options import Affects, keys
from seqtrain.config.root import Config
from seqtrain.config.sweep import OnError
from seqtrain.sweeps.identity import command_hash, job_hash


def leaves(node: Any, prefix: str = "") -> list[tuple[Any, str, str]]:
    """Owner, name and dotted key of every option below a node."""
    found = []
    for f in fields(node):
        value = getattr(node, f.name)
        if is_dataclass(value):
            found += leaves(value, f"{prefix}{f.name}.")
        else:
            found.append((node, f.name, f"{prefix}{f.name}"))
    return found


def another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, Enum):
        return next((other for other in type(value) if other is not value), None)
    if isinstance(value, int | float):
        return value + 1
    return "another" if value is None or isinstance(value, str) else [*value, 7]


@pytest.mark.parametrize("overrides", [("data=adding",), ("data=docstrings",), ("data=lorenz", "model=segrnn")])
def test_every_option_counts_but_those_that_change_no_result(composed: Any, overrides: tuple[str, ...]) -> None:
    config = composed(*overrides)
    before = job_hash(config)
    equal = set()
    for owner, name, key in leaves(config):
        kept = getattr(owner, name)
        setattr(owner, name, another(kept))
        if job_hash(config) == before:
            equal.add(key)
        setattr(owner, name, kept)
    assert job_hash(config) == before
    assert equal == keys(config, Affects.speed, Affects.shown, Affects.found)
    always = {"device", "trainer.checkpoint_seconds", "trainer.log_every", "trainer.baselines", "trainer.figures"}
    assert equal > always and equal - always <= {
        *(f"sweep.{name}" for name in ("on_error", "resume", "storage", "study", "trial")),
        *(
            "trainer.histograms",
            "trainer.probe",
            "budget.found",
            "size",
            "model.wide_found",
            "data.eval_batch_tokens",
            "data.eval_batch_size",
        ),
    }


def test_a_saved_configuration_has_the_hash_of_the_job(composed: Any, tmp_path: Path) -> None:
    config: Config = composed("data=adding", "model=gru_attn", "trainer.lr=0.0003", "budget.params=20k")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert job_hash(to_config(from_yaml(tmp_path / "config.yaml"))) == job_hash(config)


def test_a_width_that_is_solved_for_does_not_count(composed: Any) -> None:
    def hashed(*overrides: str, **found: int) -> str:
        config: Config = composed("data=adding", *overrides)
        config.budget.found = found.get("params")
        return job_hash(config)

    gru = ("model=gru", "budget.params=20k")
    assert hashed(*gru) == hashed(*gru, "model.hidden_size=37", params=19_990)
    assert hashed(*gru) != hashed("model=gru", "budget.params=30k") and hashed(*gru) != hashed("model=gru")
    assert hashed("model=gru", "model.hidden_size=37") != hashed("model=gru")
    layers = ("model=gru", "model.num_layers=2", "budget.params=20k")
    assert hashed(*layers, "model.hidden_sizes=[8,16]") != hashed(*layers, "model.hidden_sizes=[8,8]")


def test_a_path_counts_as_seen_from_the_current_folder(
    composed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = job_hash(composed("data=text_files", "data.path=a.csv"))
    assert job_hash(composed("data=text_files", f"data.path={tmp_path}/a.csv")) == here
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert job_hash(composed("data=text_files", "data.path=a.csv")) != here


def test_flatten_names_every_leaf() -> None:
    config = Config()
    config.sweep = replace(config.sweep, on_error=OnError.stop)
    flat = dict(flatten(config))
    assert flat["sweep.on_error"] is OnError.stop and flat["seed"] == 0 and flat["budget.params"] is None


def test_the_same_command_in_another_order_and_place_is_the_same_sweep() -> None:
    first = command_hash(["-m", "model=gru,lstm", "seed=1,2", "trainer.lr=0.1"])
    assert len(first) == 8
    same = ["seed=1,2", "--multirun", "model=gru,lstm", "trainer.lr=0.1", "device=cpu", "hydra/launcher=joblib",
            "hydra.launcher.n_jobs=2", "sweep.on_error=stop", "hydra.sweep.dir=x", "hydra.verbose=true",
            "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2", "hydra.sweeper.max_batch_size=4"]  # fmt: skip
    assert command_hash(same) == first
    for other in (["seed=1,2", "model=gru,lstm", "trainer.lr=0.2"], ["seed=1,2"], ["seed=2,1", *same[2:]]):
        assert command_hash(other) != first
    study = ["sampler.seed=1", "study_name=a", "storage=sqlite:///a.db", "direction=minimize", "params.seed=range(9)"]
    for more in (
        *(f"hydra.sweeper.{option}" for option in study),
        "hydra/sweeper=optuna",
        "hydra/sweeper/pruner=median",
    ):
        assert command_hash([*same, more]) != first, more

"""The dial ``size``: what it sets, for what, and what wins over it."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hydra_plugins.seqtrain_grid._overrides import refusal
from seqtrain.cli.hydra_setup import conf_directory, option_names
from seqtrain.cli.size_check import check_groups, check_width
from seqtrain.commands.budget import solve_width
from seqtrain.commands.train import resume, train
from seqtrain.config.base import Targets
from seqtrain.config.loading import from_yaml, to_config, to_yaml
from seqtrain.config.root import Config
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.runs.directory import RunDirectory
from seqtrain.sweeps.identity import job_hash
from tests.configs import kind_of, models_for

Compose = Callable[..., Config]
Run = Callable[..., subprocess.CompletedProcess[str]]

SIZES = ("small", "base", "large")
CLASSES = DataSpec(targets="class", vocab_size=3000, pad_id=0, class_names=["a", "b"], class_counts=[9, 9])
TEXT = DataSpec(targets="next token", vocab_size=3000, by_frequency=True, segment_length=16)
KINDS = {"docstrings": CLASSES, "stdlib": TEXT}
FAMILIES = list({kind_of("model", name): name for name in models_for(Targets.sequence_class)}.values())
"""A model of each family that reads texts."""


def test_there_are_no_other_sizes() -> None:
    assert set(option_names("size")) == {*SIZES, "none"}


@pytest.mark.parametrize("data", KINDS)
@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
def test_every_family_has_every_size(composed: Compose, size: str, model: str, data: str) -> None:
    if (model, data) == ("gru_fcn", "stdlib"):
        pytest.skip("reads no running text")
    config = composed(f"size={size}", f"data={data}", f"model={model}")
    config.budget.found = None  # composed once for all tests
    solve_width(config, KINDS[data])
    assert config.size == size and config.budget.found == pytest.approx(config.budget.number(), rel=0.03)


def test_a_larger_size_is_wider_and_trains_longer_at_a_lower_rate(composed: Compose) -> None:
    for overrides in (["data=imdb"], ["data=wikitext2", "model=lstm"]):
        small, base, large = (composed(f"size={size}", *overrides) for size in SIZES)
        assert small.budget.number() < base.budget.number() < large.budget.number()  # type: ignore[operator]
        assert small.trainer.min_epochs < base.trainer.min_epochs < large.trainer.min_epochs
        assert small.trainer.lr > base.trainer.lr > large.trainer.lr


def test_without_it_nothing_changes(composed: Compose) -> None:
    config = composed()
    assert config.size is None and config.budget.params is None
    assert composed("size=none") == config


def test_single_keys_win(composed: Compose) -> None:
    config = composed("trainer.lr=0.123", "size=large", "model.embedding.dropout=0.7", "budget.params=33k")
    assert (config.trainer.lr, config.model.embedding.dropout, config.budget.params) == (0.123, 0.7, "33k")  # type: ignore[attr-defined]
    assert config.trainer.epochs == composed("size=large").trainer.epochs


@pytest.mark.parametrize(
    "overrides", [["data=sine", "model=gru"], ["data=adding"], ["data=series_classes"], ["data=reverse"],
                  ["data=pair_files", "model=gru_translator"]]
)  # fmt: skip
def test_other_data_is_refused(composed: Compose, overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^size=base: is for text classifiers and language models, not for data="):
        composed("size=base", *overrides)


@pytest.mark.parametrize("other", ["trainer=small_text", "+experiment=imdb_wide_gru", "+hparams_search=gru_attn_text"])
def test_a_group_that_decides_the_same_is_refused(other: str) -> None:
    with pytest.raises(ConfigError, match="size=small,base .*both decide how a model is trained; leave one out"):
        check_groups(["-m", "size=small,base", other])
    check_groups([other, "model=lstm", "size=none"])
    check_groups(["size=small", "trainer.lr=1", "model=lstm"])


def test_a_width_is_refused(composed: Compose) -> None:
    for model, width in (("gru", "hidden_size"), ("stacked_gru", "hidden_sizes"), ("self_attn", "feed_forward_size")):
        with pytest.raises(
            ConfigError, match=rf"model\.{width}=64: size=base finds this width itself; .*budget.params"
        ):
            check_width(composed("size=base", f"model={model}"), ["size=base", f"model.{width}=64"])
    check_width(composed("size=base"), ["size=base", "budget.params=null", "model.hidden_size=64"])
    check_width(composed(), ["model.hidden_size=64"])


def test_commands_say_it_in_one_line(tmp_path: Path, run_in: Callable[[Path], Run], fails: Callable[..., None]) -> None:
    seqtrain = run_in(tmp_path)
    fails(seqtrain("size=medium"), "size=medium: no such option; known: base, large, none, small")
    fails(seqtrain("size=null"), "size=null: no such option; known: base, large, none, small")
    fails(seqtrain("size=base", "trainer=small_text"), "size=base trainer=small_text: both decide")
    fails(seqtrain("size=base", "data=sine", "model=gru"), "size=base: is for text classifiers and language models")
    fails(
        seqtrain("size=base", "model=linear"), "model.embedding: the chosen model has no such key, but size/base.yaml"
    )
    fails(seqtrain("lr-find", "size=base", "model.hidden_size=64"), "model.hidden_size=64: size=base finds this width")
    assert list(tmp_path.glob("outputs/*")) == []


def test_a_run_keeps_the_values(small: Compose, tmp_path: Path) -> None:
    config = small("size=small", "trainer.max_steps=1", "budget.params=3k")
    config.budget.found = None
    run = RunDirectory.claim(tmp_path / "run", exact=True, config=to_yaml(config))
    train(config, run)
    saved = to_config(from_yaml(run.config_path))
    assert saved.size == "small" and saved.budget.found == pytest.approx(3000, rel=0.1)
    assert "${" not in run.config_path.read_text()
    with pytest.raises(ConfigError, match="size: cannot change when a run is resumed"):
        resume(saved, replace(saved, size="large"), run)


def test_jobs_of_a_sweep_over_sizes_are_told_apart_by_their_values(composed: Compose) -> None:
    hashes = [job_hash(composed(f"size={size}")) for size in SIZES]
    assert len(set(hashes)) == len(SIZES)
    small = composed("size=small")
    same = ["budget.params=60k", f"trainer.lr={small.trainer.lr}", "trainer.epochs=null"]
    same += [f"trainer.min_epochs={small.trainer.min_epochs}"]
    assert job_hash(composed(*same)) == hashes[0], "the name itself changes nothing"
    assert refusal("size=small,base", Path()) is None, "such a sweep can be resumed"


def test_each_file_says_what_it_is() -> None:
    for size in SIZES:
        text = (conf_directory() / "size" / f"{size}.yaml").read_text()
        assert text.startswith("# @package _global_\n# ") and f"\nsize: {size}\n" in text and "TODO" not in text

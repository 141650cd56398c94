"""What may change, and what identifies a run, follow from what each option says it affects."""

from dataclasses import dataclass, fields
from typing import Any

import pytest
from omegaconf import OmegaConf

from seqtrain.config import registry
from seqtrain.config.base import DataConfig
from seqtrain.config.options import Affects, changeable, effects, identifying, incidental, option, preparing, resumable
from seqtrain.config.root import Config


@dataclass
class PluginData(DataConfig):
    """Options of a dataset that a plugin brings: the first says nothing of what it affects."""

    alphabet: str = "abc"
    eval_rows: int = option(8, Affects.speed)
    words: list[str] = option(["a"], Affects.rows)


def test_what_is_not_said_affects_the_result() -> None:
    found = dict(effects(PluginData()))
    assert found["alphabet"] is found["kind"] is found["name"] is Affects.result
    assert found["eval_rows"] is Affects.speed and found["words"] is Affects.rows
    config = Config(data=PluginData())
    assert {"data.eval_rows"} == resumable(config) & {"data.eval_rows", "data.words", "data.alphabet"}
    assert {"data.eval_rows", "data.words"} == {key for key in changeable(config) if key.startswith("data.")}
    assert "data.alphabet" in identifying(config) and "data.eval_rows" not in identifying(config)
    assert PluginData().words == ["a"] and PluginData().words is not PluginData().words
    given = PluginData(kind="mine", name="mine", eval_rows=3)
    assert OmegaConf.to_object(OmegaConf.structured(given)) == given


@pytest.mark.parametrize(
    ("overrides", "resumes", "scores"),
    [
        ("data=docstrings", {"data.path", "data.eval_batch_tokens"}, {"data.max_length", "data.test_size"}),
        ("data=stdlib", {"data.path", "data.eval_batch_size"}, {"data.state", "data.bptt_len", "data.text_column"}),
        ("data=sine", {"data.path", "data.eval_batch_size"}, {"data.missing", "data.train_size", "data.length"}),
        ("data=adding", set(), {"data.length", "data.num_eval", "data.batch_size"}),
    ],
)
def test_what_may_change(composed: Any, overrides: str, resumes: set[str], scores: set[str]) -> None:
    config = composed(overrides)
    of_data = {key for key in resumable(config) if key.startswith("data.")}
    assert of_data == resumes
    assert resumes | scores <= changeable(config)
    fixed = {"data.tokenizer", "data.vocab_size", "data.lookback", "data.horizon", "data.scaler", "data.problem"}
    assert not (fixed | {"trainer.lr", "trainer.epochs", "model.kind", "seed"}) & changeable(config)
    assert {"trainer.precision", "device"} <= changeable(config)
    always = {"device", "trainer.epochs", "trainer.max_steps", "trainer.patience", "trainer.checkpoint_seconds",
              "trainer.log_every", "trainer.baselines", "trainer.figures", "sweep.on_error"}  # fmt: skip
    assert always <= resumable(config) and not {"trainer.lr", "seed", "trainer.precision"} & resumable(config)


def test_what_tells_configurations_and_jobs_apart(composed: Any) -> None:
    config = composed("data=docstrings")
    display = {"trainer.log_every", "trainer.baselines", "trainer.figures"}
    assert display | {"device", "data.path", "data.eval_batch_tokens", "budget.found"} <= incidental(config)
    assert not display & identifying(config)
    assert {"data.path", "seed", "trainer.epochs", "task.label_smoothing"} <= identifying(config)
    assert not {"trainer.epochs", "data.max_length", "data.text_column", "seed"} & incidental(config)


def test_prepared_data_is_found_by_what_shapes_it(composed: Any) -> None:
    text = preparing(composed("data=docstrings").data)
    assert {"tokenizer", "vocab_size", "text_column", "validation_size", "min_class_size"} <= set(text)
    assert not {"kind", "name", "path", "max_length", "batch_size", "eval_batch_tokens"} & set(text)
    assert preparing(PluginData()) == {"alphabet": "abc", "words": "['a']"}


def test_every_option_says_what_it_affects_in_known_words() -> None:
    registry.load_plugins()
    for kinds in registry.REGISTRY.values():
        for kind in kinds.values():
            assert all(isinstance(f.metadata.get("affects", Affects.result), Affects) for f in fields(kind.schema))

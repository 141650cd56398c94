"""A command's own keys are literal texts; everything else is an override, read as Hydra reads it."""

from pathlib import Path

import pytest

from seqtrain.cli.arguments import gives, own_values, run_config, split_arguments
from seqtrain.cli.commands import read_prompt
from seqtrain.errors import ConfigError
from seqtrain.runs.directory import RunDirectory

CLASSIFIER = RunDirectory(Path(__file__).parents[1] / "stored_runs" / "classifier")


@pytest.mark.parametrize("sign", ["", "+", "++"])
@pytest.mark.parametrize("written", ["'/a, b=c (1).csv'", '"/a, b=c (1).csv"', r"/a\, b\=c \(1\).csv"])
def test_an_override_means_the_same_however_it_is_written(sign: str, written: str) -> None:
    literal, overrides = split_arguments(["run=x", f"{sign}data.path={written}"], "run", split=None)
    assert literal == {"run": "x", "split": None}
    assert gives(overrides, "data.path") and not gives(overrides, "data.pat")
    _, config = run_config(CLASSIFIER, overrides)
    assert config.data.path == "/a, b=c (1).csv"  # type: ignore[attr-defined]


def test_the_last_value_of_a_key_counts() -> None:
    literal, overrides = split_arguments(["run=a", "data.path=/a", "run=b", "+data.path=/b", "device=cpu"], "run")
    assert literal == {"run": "b"}
    assert run_config(CLASSIFIER, overrides)[1].data.path == "/b"  # type: ignore[attr-defined]
    nothing = run_config(CLASSIFIER, split_arguments(["run=a", "data.path=/a", "data.path=null"], "run")[1])[1]
    assert nothing.data.path is None  # type: ignore[attr-defined]


def test_own_values_are_literal() -> None:
    arguments = ["stop='a'", "stop=b=c, d", "prompt=~{x} ", "other=1", "-m", "folder"]
    values, others = own_values(arguments, ["stop", "prompt"])
    assert values == {"stop": ["'a'", "b=c, d"], "prompt": ["~{x} "]} and others == ["other=1", "-m", "folder"]
    assert read_prompt("a=b 'c'", None) == {"prompt": "a=b 'c'"}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("split=", "split=: has no value"),
        ("+split=test", r"\+split=test: split is the command's own; write it as split=..."),
        ("~split", "~split: split is the command's own"),
        ("~data.path", "~data.path: no key can be taken out"),
        ("~data.path=x", "~data.path=x: no key can be taken out"),
        ("data.path=a,b", "data.path=a,b: takes one value here"),
        ("+data.path=choice(a,b)", "takes one value here"),
        ("data.path=glob(*)", "takes one value here"),
        ("data.path@model=x", "data.path@model=x: a run has no packages"),
        ("data.path=", "data.path='': must be a file or folder, or null"),
        ("data={path:x}", "data=...: a run keeps its own data"),
        ("++debug=dry", "debug=...: a run keeps its own debug"),
        ("trainer.epochs=", "trainer.epochs: Value ''"),
        ("+data.pth=x", "data.pth=x: no such key; did you mean data.path=x"),
    ],
)
def test_what_a_run_cannot_take_is_refused(argument: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_config(CLASSIFIER, split_arguments(["run=x", argument], "run", split=None)[1])

"""Wrong command lines: one line on stderr with the remedy, exit code 1."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqtrain.cli.key_search import nearest

Run = Callable[..., Any]
Fails = Callable[..., None]


@pytest.fixture
def seqtrain(tmp_path: Path, run_in: Callable[[Path], Run]) -> Run:
    return run_in(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        # Keys that are elsewhere, or misspelt.
        (["lr=0.1"], "lr=0.1: no such key; did you mean trainer.lr=0.1?"),
        (["trainer.device=cuda"], "trainer.device=cuda: no such key; did you mean device=cuda? (device is at the top"),
        (["+trainer.epoch=3"], "trainer.epoch=3: no such key; did you mean trainer.epochs=3?"),
        (["model.embed_dim=9"], "did you mean model.embedding.embed_dim=9?"),
        (["data=stdlib", "model=lstm", "bptt_len=9"], "did you mean data.bptt_len=9?"),
        (["-m", "lr=0.1,0.2"], "did you mean trainer.lr=0.1,0.2?"),
        (["mdel=gru"], "did you mean model=gru?"),
        (
            ["model=linear", "data=adding"],
            "model.dropout: the chosen model has no such key, but",
        ),
        (["zzz=1"], "zzz: no such key; known: budget, data"),
        (["lr-find", "hihg=1"], "hihg=1: no such key; did you mean high=1?"),
        (["experiment=wikitext2_lstm"], "write +experiment=wikitext2_lstm"),
        (["+model=gru"], "write model=... to choose another"),
        (["trainer=3"], "trainer=3: no such option; known: classification, "),
        # Flags.
        (["--epochs", "3"], "--epochs: no such flag, and keys have no dashes; did you mean trainer.epochs=3?"),
        (["--trainer.lr=0.1"], "did you mean trainer.lr=0.1?"),
        (["--batch-size", "3"], "did you mean data.batch_size=3?"),
        (["--multi", "model=gru"], "did you mean --multirun?"),
        (["--cfg", "jbo"], "--cfg: expected --cfg job or hydra or all"),
        (["--resolve"], "--resolve: goes with --cfg job"),
        (["-m", "--cfg", "job"], "give one of them"),
        # Words without an equals sign.
        (["-m", "model=gru", "lstm"], "lstm: expected key=value; several values are joined by commas: model=gru,lstm"),
        (["model=gru", "lstm"], "to train with both: -m model=gru,lstm"),
        (["seed=1", "imdb"], "imdb: expected key=value; did you mean data=imdb?"),
        (["data.path", "=", "x"], "there is no blank around the equals sign"),
        (["data.path=my", "file.csv"], "put quotes around both: 'data.path=\"my file.csv\"'"),
        (["~model"], "~model: no key or group can be taken out"),
        (["seed"], "seed: expected seed=<value>"),
        # Values that are empty, where an empty text would be no option or the current directory.
        (["model="], "model=: has no value"),
        (["+hydra.run.dir=''"], "+hydra.run.dir='': has no value"),
        (["lr-find", "steps="], "steps=: has no value"),
        (["lr-find", "high=inf"], "high=inf: must be a finite number"),
        # Sweeps where there is one run.
        (["model=gru,lstm"], "model=gru,lstm: several values are a sweep, which needs -m"),
        (["trainer.betas=0.9,0.99"], "a list is written 'trainer.betas=[0.9,0.99]'"),
        (["lr-find", "model=gru,lstm"], "model=gru,lstm: takes one value here, since only training sweeps (-m)"),
        # Hydra's grammar.
        (["data.path=/a/b (1).csv"], "quote the value: 'data.path=\"/a/b (1).csv\"'"),
        (["data.path=a=b.csv"], "quote the value: 'data.path=\"a=b.csv\"'"),
        (["data.path={x"], "its brackets or quotes do not match"),
        (["-m", "data.path=/a (1)"], "quote the value"),
        (["--help", "data.path=/a (1)"], "quote the value"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_line_with_the_remedy(seqtrain: Run, fails: Fails, arguments: list[str], part: str) -> None:
    fails(seqtrain(*arguments), part)


def test_damaged_variables_of_the_environment(seqtrain: Run, fails: Fails) -> None:
    fails(seqtrain("data=adding", WORLD_SIZE="abc"), "WORLD_SIZE=abc: must be a whole number from 1")
    fails(seqtrain("resume=none", CXX="'g++", WORLD_SIZE="2"), "resume=none: no such directory")
    fails(seqtrain("data=adding", "device=cpu", CXX="'g++"), "CXX='g++: is no command")


def test_a_quoted_value_is_taken_as_it_stands(seqtrain: Run, fails: Fails) -> None:
    fails(seqtrain("data=text_files", 'data.path="/a/b (1)=c.csv"'), "/a/b (1)=c.csv: no such file")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("generate temprature=0.5", "temprature=0.5: no such key; did you mean temperature=0.5?"),
        ("generate max_token=5", "did you mean max_tokens=5?"),
        ("generate temperature=", "temperature=: has no value"),
        ("generate temperature=nan", "temperature=nan: must be a finite number"),
        ("generate max_tokens=1e3", "max_tokens=1e3: must be a whole number of at most 64 bits"),
        ("generate seed=18446744073709551616", "seed=18446744073709551616: must be a whole number of at most 64 bits"),
        ("generate stop=", "stop=: has no value"),
        ("eval data.eval_batch_tokens=1,8", "data.eval_batch_tokens=1,8: takes one value here"),
        ("eval checkpont=last", "did you mean checkpoint=last?"),
        ("eval eval_batch_tokens=900", "did you mean data.eval_batch_tokens=900?"),
        ("eval data.path=(x", "quote the value: 'data.path=\"(x\"'"),
        ("predict input=a data.text_colum=x", "did you mean data.text_column=x"),
        ("eval --split test", "--split: expected key=value; keys: run, "),
    ],
)
def test_commands_that_start_from_a_run(run_in: Callable[[Path], Run], fails: Fails, arguments: str, part: str) -> None:
    command, *rest = arguments.split()
    stored = Path(__file__).parents[1] / "stored_runs" / "classifier"
    fails(run_in(stored.parent)(command, f"run={stored}", *rest), part)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("name: [a", "mine.yaml:2: is no YAML (expected ',' or ']', but got '<stream end>'); mend this line"),
        ("name: a\nname: b", "mine.yaml:2: is no YAML (found duplicate key name); mend this line"),
        ("a\x01: 1", "mine.yaml"),
        ("defaults: ['/size/${task@task}']", "a defaults list: no viable alternative at input '${task'"),
        ("name: caf\xe9", "data/mine.yaml: byte 9 is not UTF-8; save the file as UTF-8"),
        ("[a, b]", "data/mine.yaml: is a list; it must have lines of `key: value`"),
        ("defaults: imdb", "data/mine.yaml: defaults is 'imdb'; it must be a list of names"),
        ("defaults: {a: b}", "data/mine.yaml: defaults is {'a': 'b'}; it must be a list of names"),
        ("defaults: [3]", "data/mine.yaml: defaults has 3; it must be a list of names"),
        ("defaults: [{a: b, c: d}]", "data/mine.yaml: defaults has {'a': 'b', 'c': 'd'}; it must be a list of names"),
        ("defaults: [{a: 3}]", "data/mine.yaml: defaults has {'a': 3}; it must be a list of names"),
    ],
)
def test_own_configurations_that_cannot_be_read(
    run_in: Callable[[Path], Run], fails: Fails, tmp_path: Path, written: str, message: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text(written + "\n", encoding="latin-1")
    fails(run_in(tmp_path)("--config-dir", str(tmp_path), "data=mine"), message)


def test_the_nearest_keys() -> None:
    keys = ["device", "trainer.lr", "trainer.epochs", "model.dropout", "model.embedding.dropout", "data.path"]
    assert nearest("lr", keys) == ["trainer.lr"]
    assert nearest("trainer.dropout", keys) == ["model.dropout", "model.embedding.dropout"]
    assert nearest("trainer.epoch", keys) == ["trainer.epochs"]
    assert nearest("model.paht", keys) == ["data.path"]
    assert nearest("qqqq", keys) == []


@pytest.mark.parametrize("delay", [0.4, 1.0, 2.0])
def test_ctrl_c_during_start_up_is_one_line(tmp_path: Path, delay: float) -> None:
    """In the imports of Hydra, in composition, in the import of torch, or while data is read: as fast as it may be."""
    code = "import sys; from seqtrain.cli.main import main; print('begins', file=sys.stderr, flush=True); main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "data=docstrings"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"HYDRA_FULL_ERROR": "0"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests may run in the background
    )  # fmt: skip
    assert process.stderr is not None and process.stderr.readline() == "begins\n"  # before, Python itself would end
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    try:
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and not output
    assert errors.splitlines()[-1].startswith("seqtrain: interrupted by SIGINT") and "Traceback" not in errors

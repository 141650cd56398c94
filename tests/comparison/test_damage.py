"""A damaged or hostile run is left out by name, within seconds, and the others are compared."""

import io
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqtrain.commands.compare import compare
from seqtrain.comparison.report import build_report
from seqtrain.comparison.text import terminal
from seqtrain.sweeps.ledger import Sweep
from seqtrain.sweeps.table import format_jobs
from tests.fuzzing.mutations import mutated

MakeRun = Callable[..., Path]
Classifier = Callable[[np.ndarray], dict[str, Any]]

FILES = ("status.json", "config.yaml", "results.json", "data.json", "metrics.jsonl")


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Each test ends within seconds."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 30


@pytest.fixture
def bad(make_run: MakeRun, classifier: Classifier, tmp_path: Path) -> Path:
    """A run to be damaged, beside two that are sound."""
    make_run("good", model="gru", **classifier(np.arange(100) % 3 > 0))
    make_run("other", model="rnn", **classifier(np.arange(100) % 4 > 0))
    return make_run("bad", model="lstm", **classifier(np.arange(100) % 5 > 0))


def compared(folder: Path) -> tuple[list[str], str]:
    """Configurations in the tables, and the whole text of a comparison and of the table of a sweep."""
    report = build_report([str(folder)])
    sweep = Sweep(folder)
    jobs = format_jobs(sweep, [(job, sweep.job_state(job)) for job in sweep.jobs()])
    return [row.name for table in report.tables for row in table.rows], f"{terminal(report)}\n{jobs}"


@pytest.mark.parametrize("name", [*FILES, "predictions/test.npz", ".lock"])
def test_a_pipe_a_folder_or_a_device(bad: Path, tmp_path: Path, name: str) -> None:
    for make in (os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")):
        path = bad / name
        kept = path.read_bytes() if path.is_file() else None
        path.unlink(missing_ok=True)
        make(path)
        names, text = compared(tmp_path)
        assert {"gru", "rnn"} <= {each.removeprefix("model=") for each in names}
        if name not in ("environment.json", "metrics.jsonl", ".lock"):
            assert f"{path}: " in text or name == "config.yaml"
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if kept is not None:
            path.write_bytes(kept)


LAUGHS = "a: &a [x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
HUGE = "1" + "0" * 5000


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("config.yaml", LAUGHS, "anchors and aliases are not allowed"),
        ("config.yaml", "[" * 200_000, "nested more than 50 deep"),
        ("config.yaml", "- " * 200_000, "nested more than 50 deep"),
        ("config.yaml", "x" * (5 << 20), "more than 4,194,304"),
        ("config.yaml", "\udcff", "cannot be read"),
        ("config.yaml", f"seed: {HUGE}", "config.yaml"),
        ("config.yaml", "seed: 2021-13-45", "config.yaml"),
        ("status.json", "[" * 200_000, "status.json: is not valid JSON"),
        ("status.json", f'{{"id": "a", "state": "finished", "seconds": {HUGE}}}', "status.json: is not valid JSON"),
        ("status.json", f'{{"id": "a", "state": "finished", "seconds": {HUGE[:1000]}}}', "seconds: expected a finite"),
        ("status.json", '{"id": "a", "state": ["finished"]}', "state: expected text, is a list"),
        ("data.json", '{"fingerprint": "f", "spec": {}, "sizes": {"test": "many"}}', "sizes.test: expected a whole"),
        ("data.json", '{"fingerprint": "f", "spec": {"class_names": 3}, "sizes": {}}', "spec.class_names: expected a"),
        ("results.json", '{"model": "lstm", "parameters": 1, "scores": {"lstm": []}}', "scores.lstm: expected an"),
    ],
)  # fmt: skip
def test_bombs_and_other_shapes(bad: Path, tmp_path: Path, name: str, text: str, said: str) -> None:
    (bad / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    names, shown = compared(tmp_path)
    assert names == ["rnn", "gru"] and said in shown and f"{bad}" in shown


@pytest.mark.parametrize(
    "key, value", [("seed", "[1]"), ("seed", "{a: 1}"), ("seed", "true"), ("device", "2021-01-01")]
)
def test_an_option_of_another_type(bad: Path, tmp_path: Path, key: str, value: str) -> None:
    lines = (bad / "config.yaml").read_text().splitlines()
    (bad / "config.yaml").write_text(
        "\n".join([*(line for line in lines if not line.startswith(key)), f"{key}: {value}"])
    )
    names, shown = compared(tmp_path)
    assert names == ["rnn", "gru"] and f"config.yaml: {key}" in shown


def changed_arrays(arrays: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    """Predictions that cannot be used."""
    yield {name: array for name, array in arrays.items() if name != "targets"}
    yield arrays | {"targets": arrays["targets"][:50]}
    yield arrays | {"targets": arrays["targets"][:, None]}
    yield arrays | {"targets": arrays["targets"] + 7}
    yield arrays | {"probabilities": arrays["probabilities"] * np.nan}
    yield arrays | {"probabilities": arrays["probabilities"].astype(str)}
    yield arrays | {"probabilities": arrays["probabilities"].ravel()}
    yield {name: array[:0] for name, array in arrays.items()}
    yield arrays | {"rows": np.array([None] * 100, dtype=object)}


def test_arrays_that_do_not_fit(bad: Path, tmp_path: Path) -> None:
    path = bad / "predictions/test.npz"
    with np.load(path) as file:
        arrays = dict(file)
    for changed in changed_arrays(arrays):
        np.savez(path, **changed)
        report = build_report([str(tmp_path)], metrics=["accuracy"])
        (pairs,) = report.tables[0].pairs
        assert [each.label for each in (pairs.with_best[0].better, pairs.with_best[0].worse)] == ["rnn", "gru"]
        assert any(f"{bad}" in note and "not among the pairs" in note for note in report.tables[0].notes)


def test_arrays_larger_than_the_file(bad: Path, tmp_path: Path) -> None:
    path = bad / "predictions/test.npz"
    np.savez_compressed(path, rows=np.zeros(200_000))
    assert "its arrays are compressed" in compared(tmp_path)[1]
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert "more than 104,857,600" in compared(tmp_path)[1]


def test_control_characters_are_shown_escaped(bad: Path, tmp_path: Path) -> None:
    evil = "\x1b]0;title\x07\nfinished \u202e\ud800"
    (bad / "status.json").write_text(json.dumps({"id": "a", "state": "failed", "error": evil}))
    other = tmp_path / "other"
    results = json.loads((other / "results.json").read_text())
    results["scores"][f"base{evil}"] = results["scores"]["rnn"]
    (other / "results.json").write_text(json.dumps(results | {"shown": ["accuracy", evil]}))
    (other / "config.yaml").write_text(
        (other / "config.yaml").read_text().replace("name: rnn", f"name: {json.dumps(evil[:-1])}")
    )
    sweep = Sweep(tmp_path)
    texts = [format_jobs(sweep, [(job, sweep.job_state(job)) for job in sweep.jobs()])]
    for format in ("terminal", "markdown", "csv", "html"):
        with redirect_stdout(io.StringIO()) as out:
            compare([str(tmp_path)], format=format)
        texts.append(out.getvalue())
    for text in texts:
        assert not any(character in text for character in "\x1b\x07\u202e\ud800"), text
        assert text.replace("\\\\", "\\").count(r"title\x07\nfinished") >= 1 + (text != texts[0]), text


@pytest.mark.parametrize("seed", range(12))
def test_random_damage(bad: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = bad / rng.choice([*FILES, "predictions/test.npz"])
    path.write_bytes(mutated(path.read_bytes(), rng, rng.randint(1, 5)))
    names, text = compared(tmp_path)
    assert len(names) >= 2 and "\x1b" not in text

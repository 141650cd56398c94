"""Real runs that are killed, interrupted, or cannot write: they go on to the very weights of one that was not."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from seqtrain.commands.check_resume import first_difference
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.training.checkpoint import load_checkpoint
from tests.command_line import BROKEN, CLOSED, FULL, Command

KILLS = int(os.environ.get("SEQTRAIN_KILLS", "3"))

OPTIONS = [
    *("data=text_corpus", "data.path=corpus", "data.tokenizer=char", "data.batch_size=4", "data.bptt_len=16"),
    *("model=lstm", "model.hidden_size=16", "model.embedding.embed_dim=8", "model.dropout=0.2", "device=cpu"),
    *("trainer.epochs=2", "trainer.eval_every=30", "trainer.log_every=7", "trainer.checkpoint_seconds=0"),
    *("trainer.figures=false", "trainer.baselines=false"),
]
"""A language model with carried state and dropout; a checkpoint at each step that the 2 % rule allows."""

QUICK = [
    *("device=cpu", "trainer.max_steps=240", "trainer.eval_every=30", "trainer.log_every=7"),
    *("trainer.checkpoint_seconds=0", "trainer.figures=false", "trainer.baselines=false", "model.hidden_size=16"),
]
LONG: dict[str, list[str]] = {
    "language": [*OPTIONS, "trainer.epochs=3"],
    "classification": ["data=text_files", "data.path=reviews.csv", "model=gru_attn", "data.batch_size=8", *QUICK],
    "multilabel": [
        "data=text_files",
        "data.path=sets.jsonl",
        "task=multilabel",
        "model=gru",
        "data.batch_size=8",
        *QUICK,
    ],
    "labelling": ["data=tagging_files", "data.path=tags.conll", "model=lstm", "data.batch_size=4", *QUICK],
    "regression": ["data=adding", "data.length=20", "data.num_train=400", "data.num_eval=100", "model=rnn", *QUICK],
    "forecasting": ["data=sine", "data.length=600", "model=gru_seq2seq_attn", "task.conformal=0.8", *QUICK],
}
"""Runs of each task, long enough for most moments to lie in training."""


def start(
    folder: Path,
    *arguments: str,
    file_size: int = 0,
    cache: Path | None = None,
    streams: dict[int, str] | None = None,
) -> Command:
    """The command in the background; no file grows beyond so many bytes, if given, as a quota would have it."""
    variables = {"SEQTRAIN_CACHE_DIR": str(cache)} if cache else {}
    return Command(folder, *arguments, file_size=file_size, variables=variables, streams=streams)


def finish(process: Command) -> tuple[int, str]:
    """Exit code and what it wrote on stderr."""
    ended = process.finish()
    return ended.returncode, ended.stderr


def wait_for(condition: Callable[[], bool], process: Command) -> None:
    """Until the condition holds, or the process has ended."""
    while not condition() and process.poll() is None:
        time.sleep(0.005)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run: a corpus, and a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("faults")
    rng = random.Random(0)
    (folder / "corpus").mkdir()
    for split, words in (("train", 1600), ("valid", 100), ("test", 100)):
        text = " ".join(rng.choices(["owl", "tree", "moon", "pond", "a", "the"], k=words))
        (folder / "corpus" / f"{split}.txt").write_text(text)
    lines = [f"{rng.choice(['owl', 'moon', 'good' if i % 2 else 'bad'])} {i},{i % 2}" for i in range(80)]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *lines]))
    sets = [{"text": f"owl {i}", "label": [name for name in "ab" if rng.random() < 0.5]} for i in range(80)]
    (folder / "sets.jsonl").write_text("\n".join(map(json.dumps, sets)))
    (folder / "tags.conll").write_text("\n\n".join(f"owl{i % 7} B-X\nthe O" for i in range(40)))
    code, errors = finish(start(folder, *OPTIONS, "hydra.run.dir=whole"))
    assert code == 0, errors
    return folder


def same_as_whole(folder: Path, name: str, whole: str = "whole") -> str | None:
    """Where a run's last checkpoint, curves or scores differ from those of the undisturbed one, or None."""
    runs = [RunDirectory(folder / whole), RunDirectory(folder / name)]
    weights = [load_checkpoint(run.checkpoint_path("last"), run.id) for run in runs]
    curves = [[json.loads(line) for line in run.metrics_path.read_text().splitlines()] for run in runs]
    scores = [read_json(run.results_path) for run in runs]
    pairs: dict[str, list[Any]] = {"last.pt": weights, "metrics.jsonl": curves, "results.json": scores}
    return next((at for what, pair in pairs.items() if (at := first_difference(pair[0], pair[1], what))), None)


def resumed(folder: Path, name: str) -> str:
    """Resume to the end, a finished run from its last checkpoint; returns what was said."""
    code, errors = finish(start(folder, f"resume={name}", "trainer.checkpoint_seconds=59"))
    assert code == 0, errors
    return errors


def test_killed_at_any_moment(folder: Path) -> None:
    """SIGKILL at random moments, from the first on; a run that was not begun yet is begun again by its command.

    Many runs are of all tasks; of seven, three find an empty cache of data, and one of these no compiled kernels.
    """
    tasks = list(LONG)[: len(LONG) if KILLS > 10 else 1]
    times, rng = {}, random.Random(KILLS)
    for task in tasks:
        began = time.monotonic()
        code, errors = finish(start(folder, *LONG[task], f"hydra.run.dir=long-{task}"))
        assert code == 0, errors
        times[task] = time.monotonic() - began
    kernels = Path(os.environ["SEQTRAIN_CACHE_DIR"]) / "kernels"

    def one(number: int) -> str:
        task, name = tasks[number % len(tasks)], f"killed-{number}"
        cold = len(tasks) > 1 and number % 7 in (1, 3, 5)
        cache = folder / f"cache-{number}" if cold else None
        compiles = cold and number % 7 == 3
        if cache is not None and not compiles and kernels.exists():
            shutil.copytree(kernels, cache / "kernels")
        moment = rng.uniform(0.0, 2 * times[task] if compiles else times[task])
        process = start(folder, *LONG[task], f"hydra.run.dir={name}", cache=cache)
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        process.kill()
        code, _ = finish(process)
        if not (folder / name / "config.yaml").exists():
            arguments, reached = [*LONG[task], f"hydra.run.dir={name}"], "before it began"
        else:
            arguments, reached = [f"resume={name}", "trainer.checkpoint_seconds=59"], "before a checkpoint"
        resumed_code, said = finish(start(folder, *arguments, cache=cache))
        assert resumed_code == 0, said
        steps = [line.rpartition(" ")[2] for line in said.splitlines() if line.startswith("resuming from step")]
        reached = f"at a checkpoint of step {steps[0]}" if steps else reached
        assert same_as_whole(folder, name, f"long-{task}") is None, f"killed after {moment:.2f} s: {said}"
        where = ", no compiled kernels" if compiles else ", empty cache" if cold else ""
        return f"{name} ({task}{where}): {'killed' if code else 'ended'} after {moment:.2f} s, {reached}; equal"

    with ThreadPoolExecutor(2) as pool:
        for line in pool.map(one, range(KILLS)):
            print(line)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_run_in_order(folder: Path, number: signal.Signals, code: int) -> None:
    """A terminal that is closed sends SIGHUP more than once, and then stderr is gone."""
    name, closing = number.name, number is signal.SIGHUP
    process = start(folder, *OPTIONS, f"hydra.run.dir={name}", streams={2: BROKEN} if closing else None)
    wait_for((folder / name / "checkpoints/last.pt").exists, process)
    for _ in range(3 if closing else 1):
        process.send_signal(number)
        time.sleep(0.002)
    returned, errors = finish(process)
    assert returned == code, errors
    status = read_json(folder / name / "status.json")
    assert status["state"] == "interrupted" and f"{name}; saved at step" in status["error"]
    if not closing:
        assert f"interrupted by {name}; saved at step" in errors and f"seqtrain resume={folder / name}" in errors
    assert "resuming from step" in resumed(folder, name)
    assert same_as_whole(folder, name) is None


def test_a_second_signal_ends_it_at_once(folder: Path) -> None:
    """In the middle of an evaluation that takes its time, where the first one would do: both at once."""
    process = start(folder, *OPTIONS, "hydra.run.dir=twice")
    wait_for((folder / "twice/checkpoints/last.pt").exists, process)
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    returned, errors = finish(process)
    assert returned in (130, 143) and "Traceback" not in errors, errors
    assert read_json(folder / "twice/status.json")["state"] == "interrupted"
    resumed(folder, "twice")
    assert same_as_whole(folder, "twice") is None


def left_over(run: Path) -> list[Path]:
    """Temporary files in a run directory."""
    return [path for path in run.rglob(".*") if path.name != ".lock"]


def test_no_room_for_a_checkpoint(folder: Path) -> None:
    code, errors = finish(start(folder, *OPTIONS, "hydra.run.dir=quota", file_size=8192))
    assert code == 1 and "Traceback" not in errors, errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith("seqtrain: error: ") and "cannot be written (File too large)" in last, errors
    assert f"resume={folder}/quota" in last and not list((folder / "quota/checkpoints").iterdir())
    assert read_json(folder / "quota/status.json")["state"] == "failed" and not left_over(folder / "quota")
    resumed(folder, "quota")
    assert same_as_whole(folder, "quota") is None


def test_no_room_for_a_run(folder: Path) -> None:
    """Nothing is left that would keep the same command from being given again."""
    code, errors = finish(start(folder, *OPTIONS, "hydra.run.dir=none", file_size=400))
    assert code == 1 and errors.startswith(f"seqtrain: error: {folder}/none: cannot be written (File too large)")
    assert not (folder / "none").exists()


@pytest.mark.parametrize("size", [8, 20, 150])
def test_a_small_disk(folder: Path, size: int) -> None:
    """In KiB: the config, the event file and the results or a second checkpoint are the first without room."""
    mounted = folder / f"tiny-{size}"
    mounted.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}k", "tmpfs"]
    if subprocess.run(["mount", *options, mounted], capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here, which needs root")
    try:
        code, errors = finish(start(folder, *OPTIONS, "trainer.max_steps=30", f"hydra.run.dir={mounted.name}/run"))
        last = errors.strip().splitlines()[-1]
        assert code == 1 and "Traceback" not in errors, errors
        assert last.startswith(f"seqtrain: error: {mounted}/run") and f"resume={mounted}/run" in last, errors
        assert "cannot be written (No space left on device)" in last
        assert read_json(mounted / "run/status.json")["state"] == "failed" and not left_over(mounted / "run")
    finally:
        subprocess.run(["umount", mounted], check=True)


@pytest.mark.parametrize("streams", [{1: FULL}, {2: BROKEN}, dict.fromkeys(range(3), CLOSED)], ids=str)
def test_nobody_needs_to_be_listening(folder: Path, streams: dict[int, str]) -> None:
    """A stream that cannot be written, or is closed, changes nothing in a run; no file gets the number of a stream."""
    name = f"deaf-{len(streams)}{min(streams)}"
    ended = start(folder, *OPTIONS, f"hydra.run.dir={name}", streams=streams).finish()
    assert ended.returncode == 0 and read_json(folder / name / "status.json")["state"] == "finished", ended.stderr
    assert same_as_whole(folder, name) is None
    if 1 not in streams:
        assert ended.stdout.endswith(f"run directory: {folder / name}\n")
    if 2 not in streams:
        where = f"the results are in {folder / name}/results.json"
        assert ended.stderr.splitlines()[-1] == f"stdout: cannot be written (No space left on device); {where}"


@pytest.mark.parametrize("command", ["eval run=whole", "generate run=whole stream=true", "--help"])
def test_a_product_on_stdout_needs_a_place(folder: Path, command: str) -> None:
    """A full device is an error; a reader that has ended is none."""
    full, broken = (start(folder, *command.split(), streams={1: stream}) for stream in (FULL, BROKEN))
    code, errors = finish(full)
    last = errors.splitlines()[-1]
    assert code == 1 and "Traceback" not in errors, errors
    assert last.startswith("seqtrain: error: stdout: cannot be written (No space left on device)")
    code, errors = finish(broken)
    assert code == 0 and "error" not in errors, errors


def test_a_full_disk(folder: Path) -> None:
    """A tmpfs that fills up while the run is under way; made empty again, it goes on."""
    mounted = folder / "small"
    mounted.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mounted], capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here, which needs root")
    try:
        process = start(folder, *OPTIONS, "hydra.run.dir=small/run")
        wait_for((mounted / "run/checkpoints/previous.pt").exists, process)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(OSError), (mounted / "filler").open("wb") as filler:
            while True:
                filler.write(bytes(4096))
                filler.flush()
        process.send_signal(signal.SIGCONT)
        code, errors = finish(process)
        assert code == 1 and "Traceback" not in errors, errors
        assert "No space left on device" in errors.strip().splitlines()[-1]
        (mounted / "filler").unlink()
        shutil.copytree(mounted / "run", folder / "full")
    finally:
        subprocess.run(["umount", mounted], check=True)
    assert "resuming from step" in resumed(folder, "full")
    assert same_as_whole(folder, "full") is None


def test_a_run_directory_that_vanishes(folder: Path) -> None:
    process = start(folder, *OPTIONS, "hydra.run.dir=gone")
    wait_for((folder / "gone/checkpoints/last.pt").exists, process)
    (folder / "gone").rename(folder / "moved")
    code, errors = finish(process)
    assert code == 1 and "Traceback" not in errors, errors
    assert "cannot be written (No such file or directory); earlier files are intact" in errors.strip().splitlines()[-1]
    resumed(folder, "moved")
    assert same_as_whole(folder, "moved") is None


@pytest.fixture(scope="module")
def two_checkpoints(folder: Path) -> Path:
    """The directory of a run that was killed after its second checkpoint."""
    process = start(folder, *OPTIONS, "hydra.run.dir=two")
    wait_for((folder / "two/checkpoints/previous.pt").exists, process)
    process.kill()
    finish(process)
    return folder / "two"


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing", "other"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(folder: Path, two_checkpoints: Path, damage: str) -> None:
    name = f"damaged-{damage}"
    shutil.copytree(two_checkpoints, folder / name)
    last = folder / name / "checkpoints/last.pt"
    content = bytearray(last.read_bytes()) if last.exists() else bytearray(b"x" * 100)
    if damage == "missing":
        last.unlink(missing_ok=True)
    elif damage == "other":
        shutil.copy(folder / "whole/checkpoints/last.pt", last)
    else:
        content[len(content) // 2] ^= 1
        last.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    assert "resuming from the checkpoint before it" in resumed(folder, name)
    assert same_as_whole(folder, name) is None


def test_two_processes_on_one_run(folder: Path) -> None:
    process = start(folder, *OPTIONS, "hydra.run.dir=shared")
    wait_for((folder / "shared/checkpoints/last.pt").exists, process)
    process.send_signal(signal.SIGSTOP)
    code, errors = finish(start(folder, "resume=shared"))
    process.send_signal(signal.SIGCONT)
    assert code == 1 and "is being written by another process" in errors, errors
    code, errors = finish(process)
    assert code == 0, errors
    assert same_as_whole(folder, "shared") is None

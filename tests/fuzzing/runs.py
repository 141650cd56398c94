"""Damaged files of runs and sweeps, used by the commands that read them.

A command that succeeds must say the same as with the file whole, or name the file. Text that a run's own digests cannot
cover, such as JSON that was written anew, may be read; it never ends in a traceback or a hang.
"""

import json
import random
import re
import shutil
import subprocess
from pathlib import Path

from seqtrain.runs.json_files import CHECKSUM, with_checksum
from tests.command_line import Command, seqtrain
from tests.fuzzing.data_files import FILES, OPTIONS
from tests.fuzzing.mutations import mutated, reshaped
from tests.fuzzing.outcome import SECONDS, Wrong

SMALL = [
    *("device=cpu", "trainer.max_steps=4", "trainer.eval_every=2", "trainer.figures=false"),
    *("trainer.schedule=constant", "trainer.warmup_steps=1"),
    *("model.hidden_size=8", "data.batch_size=8"),
]
TASKS: dict[str, list[str]] = {
    "classification": ["texts.csv", "model=gru_attn", "model.embedding.embed_dim=8", "data.test_size=0.2"],
    "multilabel": ["sets.jsonl", "model=gru", "model.embedding.embed_dim=8", "data.test_size=0.2"],
    "labelling": ["tags.jsonl", "model=lstm", "model.embedding.embed_dim=8", "data.test_size=0.2"],
    "language": ["corpus.txt", "model=rnn", "model.embedding.embed_dim=8"],
    "forecasting": ["series.csv", "model=gru", "task.conformal=0.8", "task.loss=quantile"],
}
"""Data file and options of a run of each task."""


class RunFiles:
    """The files of a finished run, of which one is damaged at each trial. It lies in a sweep, beside a second run.

    Args:
        task: one of ``TASKS``.
        folder: where to train.
    """

    def __init__(self, task: str, folder: Path):
        self.name, self.folder = f"run/{task}", folder / task
        self.folder.mkdir()
        name, *options = TASKS[task]
        content = FILES[name]
        (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        arguments = [*OPTIONS[name.partition(".")[0]], f"data.path={name}", *options, *SMALL]
        made = seqtrain(self.folder, "-m", *arguments, "seed=0,1", "hydra.sweep.dir=sweep")
        assert made.returncode == 0, made.stderr
        self.sweep, self.whole = self.folder / "sweep", self.folder / "whole"
        shutil.copytree(self.sweep, self.whole)
        self.run = sorted(path.parent for path in self.sweep.glob("*/config.yaml"))[0]
        own = [path for path in self.run.rglob("*") if path.is_file() and path.stat().st_size]
        read = [path for path in own if path.suffix in (".yaml", ".json", ".jsonl", ".pt", ".npz")]
        self.files = sorted([*read, self.sweep / "sweep.json"])
        relative = self.run.relative_to(self.folder)
        self.commands = {
            "eval": ["eval", f"run={relative}"],
            "compare": ["compare", "sweep", "format=csv"],
            "sweep": ["sweep", "sweep", "watch=false"],
            "resume": [f"resume={relative}"],
            "more": [f"resume={relative}", "trainer.max_steps=6"],
        }
        if task != "labelling":
            given = [f"input={name}"] if task != "language" else [f"input={name}", "output=out.jsonl"]
            self.commands["predict"] = ["predict", f"run={relative}", *given]
        self.expected = {}
        for key, arguments in self.commands.items():
            self.expected[key] = self.finish(arguments)
            assert self.expected[key].returncode == 0, self.expected[key].stderr
            self.restore()

    def finish(self, arguments: list[str]) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; raises Wrong if it takes too long."""
        try:
            return Command(self.folder, *arguments).finish(SECONDS)
        except subprocess.TimeoutExpired as error:
            raise Wrong(f"seqtrain {' '.join(arguments)}: is not done after {SECONDS} s") from error

    def restore(self) -> None:
        """Put the whole files back."""
        shutil.rmtree(self.sweep)
        shutil.copytree(self.whole, self.sweep)

    def attempt(self, seed: int) -> str:
        rng = random.Random(f"{self.name} {seed}")
        path, key = rng.choice(self.files), rng.choice(list(self.commands))
        forged = path.suffix == ".json" and rng.randrange(2) == 0
        content = path.read_bytes()
        damaged = signed(reshaped(content, rng)) if forged else mutated(content, rng, rng.choice([1, 1, 4]))
        path.write_bytes(damaged)
        try:
            ended = self.finish(self.commands[key])
            return self.judged(ended, key, path, certain=not forged)
        except Wrong as error:
            raise Wrong(f"{path.relative_to(self.folder)}, seqtrain {' '.join(self.commands[key])}: {error}") from None
        finally:
            self.restore()

    def judged(self, ended: "subprocess.CompletedProcess[str]", key: str, path: Path, certain: bool) -> str:
        """How a command ended; raises Wrong if it should not end so.

        Args:
            ended: the command.
            key: its name.
            path: the damaged file.
            certain: the damage is one that the file's digest tells.
        """
        said = ended.stderr.strip().splitlines()
        if "Traceback" in ended.stderr or ended.returncode not in (0, 1):
            raise Wrong(f"exit code {ended.returncode}: {ended.stderr[-2000:]}")
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", ended.stdout + ended.stderr):
            raise Wrong(f"prints control characters: {ended.stdout + ended.stderr!r}")
        if ended.returncode == 1:
            if not said or not said[-1].startswith("seqtrain: error: "):
                raise Wrong(f"exit code 1 without a line that says why: {ended.stderr}")
            if key in ("compare", "sweep") and path.parent == self.run:
                raise Wrong(f"one damaged run ends all: {ended.stderr}")
            return "refused"
        same = ended.stdout == self.expected[key].stdout
        if (
            key in ("eval", "predict", "compare")
            and certain
            and not same
            and path.name not in ended.stdout + ended.stderr
        ):
            raise Wrong(f"another result without a word: {ended.stdout[:500]!r} {ended.stderr[:500]!r}")
        return "read" if same and ended.stderr == self.expected[key].stderr else "told"


def signed(content: bytes) -> bytes:
    """JSON with the right checksum, as somebody writes it who wants it to be read."""
    value = json.loads(content)
    if not isinstance(value, dict):
        return content
    value.pop(CHECKSUM, None)
    return with_checksum(json.dumps(value).encode()) if value else content

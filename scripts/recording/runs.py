"""Running the commands of a recipe, and reading what their runs scored."""

import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from hydra import compose, initialize_config_dir

from benchmarking.report import processor
from recording.record import ROOT, Baseline, Measured, Recipe
from seqtrain.cli.hydra_setup import conf_directory, store_schemas
from seqtrain.config.loading import differences, from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.errors import UserError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.records import Environment, Results
from seqtrain.sweeps.identity import job_hash
from seqtrain.sweeps.sharing import num_cores

OUTPUTS = "outputs/"
"""In commands: the folder of their runs."""
BEGINS_FROM = ("init", "init_backward")
"""Keys that name another run, which lies elsewhere in each check."""
CODE = ("seqtrain", "hydra_plugins", "conf")


def run(recipe: Recipe, seeds: Sequence[int], folder: Path) -> None:
    """Run the commands of a recipe: the last one as a multirun over the seeds, in ``folder``/seeds.

    Raises:
        UserError: if the folder is not empty, or a command fails.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: is not empty; give another --out, or read what is in it with --runs {folder}")
    for words in recipe.preparations:
        seqtrain(below(words, folder))
    over = f"seed={','.join(map(str, seeds))}"
    seqtrain(["-m", *below(recipe.overrides, folder), over, f"hydra.sweep.dir={folder / 'seeds'}"])


def seqtrain(words: Sequence[str]) -> None:
    """Run a command of this working tree; raises UserError if it fails."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    print(f"$ seqtrain {shlex.join(words)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "seqtrain", *words], cwd=ROOT, env=environment).returncode
    if code:
        raise UserError(f"seqtrain {shlex.join(words)}: ended with {code}, see above")


def finish(run: RunDirectory, words: Sequence[str]) -> None:
    """Train a run with the words of its command, which name its directory; go on with one that was interrupted."""
    if not (run.path / "config.yaml").exists():
        seqtrain(words)
    elif run.status.state != "finished":
        seqtrain([f"resume={run.path}"])


def below(words: Sequence[str], folder: Path) -> list[str]:
    """The words of a command with its runs in another folder than ``outputs/``."""
    return [word.replace(f"={OUTPUTS}", f"={folder}/", 1) for word in words]


def read(recipe: Recipe, folder: Path, machine: str) -> Measured:
    """What the runs of a recipe scored.

    Args:
        recipe: whose last command made the runs.
        folder: of ``run``, or of any multirun of that command.
        machine: where they were made.

    Raises:
        UserError: if a run is unfinished, or is not one of that command.
    """
    seeds = folder / "seeds" if (folder / "seeds").is_dir() else folder
    paths = sorted(path.parent for path in seeds.glob("*/config.yaml"))
    if not paths:
        raise UserError(f"{folder}: holds no runs; give the folder of a multirun over seeds")
    wanted = composed(recipe.overrides)
    found = {seed_of(path, wanted, recipe.commands[-1]): path for path in paths}
    if len(found) < len(paths):
        raise UserError(f"{seeds}: holds several runs of a seed; give a folder with one of each")
    results = {seed: Results.read(RunDirectory(path).results_path) for seed, path in sorted(found.items())}
    prepared = [RunDirectory(place_of(words, folder)) for words in recipe.preparations]
    first = next(iter(found.values()))
    return Measured(
        scores={seed: rounded(score_of(result, result.model, recipe)) for seed, result in results.items()},
        seconds=rounded(statistics.mean(seconds_of(RunDirectory(path)) for path in found.values())),
        machine=machine,
        commit=commit_of(first),
        date=RunDirectory(first).status.started[:10],
        baseline=strongest(list(results.values()), recipe),
        validation=validation_of(list(results.values()), recipe),
        preparation=rounded(sum(map(seconds_of, prepared))) if prepared else None,
    )


def composed(overrides: Sequence[str]) -> Config:
    """The configuration that a command trains with, typed in the root of the repository."""
    store_schemas()
    with chdir(ROOT), initialize_config_dir(str(conf_directory()), version_base="1.3"):
        return to_config(compose("train", overrides=list(overrides)))


def seed_of(path: Path, wanted: Config, command: str) -> int:
    """The seed of a run; raises UserError if more than that differs from what its command says."""
    config = to_config(from_yaml(path / "config.yaml"))
    free = [key for key in ("seed", *BEGINS_FROM) if hasattr(wanted, key)]
    same = replace(config, **{key: getattr(wanted, key) for key in free})
    if job_hash(same) != job_hash(wanted):
        keys = ", ".join(differences(wanted, same))
        raise UserError(f"{path}: is no run of {command}: {keys} differ; give a folder of its runs")
    return config.seed


def place_of(words: Sequence[str], folder: Path) -> Path:
    """Directory of the run that a preparing command makes; raises UserError if it names none below ``outputs/``."""
    key = f"hydra.run.dir={OUTPUTS}"
    name = next((word.removeprefix(key) for word in words if word.startswith(key)), None)
    if name is None:
        raise UserError(f"seqtrain {shlex.join(words)}: has no {key}<name>, which the last command begins from; add it")
    return folder / name


def score_of(result: Results, who: str, recipe: Recipe) -> float:
    """A score of a final table; raises UserError if it is missing."""
    score = result.scores[who].get(recipe.split, {}).get(recipe.metric)
    if score is None:
        raise UserError(
            f"{recipe.commands[-1]}: its runs have no {recipe.metric} on {recipe.split}; correct the record"
        )
    return score


def strongest(results: Sequence[Results], recipe: Recipe) -> Baseline | None:
    """The best of the baselines, by its mean over the runs."""
    names = [name for name in results[0].scores if name != results[0].model]
    means = {
        name: statistics.mean(score_of(result, name, recipe) for result in results)
        for name in names
        if results[0].scores[name].get(recipe.split, {}).get(recipe.metric) is not None
    }
    if not means:
        return None
    best = (min if recipe.lower_is_better else max)(means, key=lambda name: means[name])
    return Baseline(best, rounded(means[best]))


def validation_of(results: Sequence[Results], recipe: Recipe) -> float | None:
    """The mean on validation, where the score is on another split."""
    if recipe.split == "validation":
        return None
    on_validation = replace(recipe, split="validation")
    return rounded(statistics.mean(score_of(result, result.model, on_validation) for result in results))


def seconds_of(run: RunDirectory) -> float:
    """Seconds from the start of a run to its end; raises UserError if it is not finished."""
    status = run.status
    if status.state != "finished" or status.finished is None:
        raise UserError(f"{run.path}: is {status.state}; finish it with: seqtrain resume={run.path}")
    return (datetime.fromisoformat(status.finished) - datetime.fromisoformat(status.started)).total_seconds()


def commit_of(path: Path) -> str:
    """Commit of the code that made a run; a change of other files, such as this record, does not make it dirty."""
    commit = Environment.read(path / "environment.json").git_commit or "unknown"
    clean = commit.removesuffix("-dirty")
    if commit != clean and git("rev-parse", "HEAD") == clean and not uncommitted():
        commit = clean
    return commit.replace(clean, clean[:12])


def uncommitted() -> str:
    """A file of the code that differs from the last commit, or nothing."""
    return git("status", "--porcelain", "--", *CODE).partition("\n")[0][3:]


def git(*arguments: str) -> str:
    """Output of a git command in this repository; empty if it fails."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.rstrip()


def this_machine() -> str:
    """GPU, or processor with its widest vector instructions, and the number of threads of a run."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    vectors = {"AVX512": "AVX-512", "AVX2": "AVX2"}.get(torch.backends.cpu.get_cpu_capability(), "no AVX2")
    threads = int(os.environ.get("OMP_NUM_THREADS") or num_cores())
    return f"{processor()} ({vectors}), {threads} thread{'s' if threads > 1 else ''}"


def rounded(value: float) -> float:
    """A number to six digits."""
    return float(f"{value:.6g}")

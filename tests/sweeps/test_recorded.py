"""What a sweep's directory holds is replayed only as far as it can do no harm: its command, its study, its names."""

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from hydra_plugins.seqtrain_grid._overrides import GROUPS, literal, refusal
from seqtrain.cli.given import parse
from seqtrain.cli.hydra_setup import conf_directory
from seqtrain.cli.sweep_arguments import sweep_arguments
from seqtrain.errors import ConfigError, RunError
from seqtrain.sweeps.ledger import Sweep
from seqtrain.training import pruning

Run = Callable[..., subprocess.CompletedProcess[str]]
Fails = Callable[..., None]
STORED = Path(__file__).parents[1] / "stored_runs"

TINY = [
    *("data=adding", "data.length=4", "data.num_train=64", "data.num_eval=20", "data.batch_size=16", "model=gru"),
    *("model.hidden_size=4", "model.embedding.embed_dim=4", "trainer.max_steps=2", "trainer.figures=false"),
    *("trainer.baselines=false", "device=cpu"),
]

REPLAYED = [
    *TINY,
    *("model=gru,lstm", "model=glob(*)", "+experiment=imdb_attention_max", "+hparams_search=forecaster", "debug=dry"),
    *("seed=0,1,2", "data.path=/abs/x.csv", "data.path='with, comma'", "data.class_names=[a,b]", "trainer.lr=null"),
    *("trainer.lr=tag(log, interval(1e-4,1e-1))", "model.hidden_size=range(1,5)", "sweep.on_error=stop"),
    *("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.mode=MULTIRUN", "hydra.verbose=true"),
    *("hydra/sweeper=optuna", "hydra/sweeper/sampler=tpe", "hydra/sweeper/pruner=median", "hydra.sweeper.n_trials=3"),
    *("hydra.sweeper.sampler.seed=3", "hydra.sweeper.sampler._target_=optuna.samplers.RandomSampler"),
    "+hydra.sweeper.params={model.hidden_size: 'choice(8,16)'}", "hydra.sweep.subdir='${hydra.job.num}-${model.name}'",
    "hydra.sweeper.storage=sqlite:////sweeps/mine/study.db",
]  # fmt: skip
REFUSED: list[Any] = [
    # environment, Python functions, what joblib evaluates and a batch script runs
    *("+hydra.job.env_set.CXX='bash -c x'", "hydra.job.name=x", "hydra={job:{env_set:{CXX:x}}}", "hydra.callbacks={}"),
    *("hydra.launcher._target_=os.system", "hydra.sweeper._target_=os.system", "hydra.launcher={_target_:os.system}"),
    *("hydra.sweeper.sampler._target_=os.system", "hydra.sweeper.custom_search_space=os.system", "data._target_=x"),
    *("hydra.launcher.setup=[x]", "hydra.launcher.pre_dispatch=x", "hydra.launcher.additional_parameters={a:b}"),
    *("hydra.launcher.partition='a\nrm -r /'", "data.x={_target_:os.system}", "hydra.job_logging.x=y"),
    "+hydra.sweeper.params={+hydra.job.env_set.CXX: 'choice(a,b)'}", "hydra.sweeper.params.hydra.job.env_set.CXX=a,b",
    # a pickle in the study
    *("hydra/sweeper/sampler=cmaes", "hydra/sweeper/sampler=tpe,cmaes"),
    "hydra.sweeper.sampler._target_=optuna.samplers.CmaEsSampler",
    # configurations and files of elsewhere
    *("-cd", "--config-dir=x", "--experimental-rerun=x", "hydra.searchpath=[file:///x]", "model=../x", "model=/x/y"),
    *("model=gru,../x", "model@hydra.job=gru", "~hydra.job", "hydra.run.dir=/x", "hydra.output_subdir=x"),
    *("hydra.launcher.submitit_folder=/x", "hydra.launcher.temp_folder=/x", "model.name=../../x", "sweep.resume=x"),
    *("hydra.sweep.subdir=../x", "hydra.sweep.subdir='${oc.env:HOME}'", "hydra.sweep.subdir=.."),
    *("sweep.storage=sqlite:////x", "hydra.sweeper.storage=sqlite:////x.db", "hydra.sweeper.storage=postgresql://h/x"),
    "hydra.sweeper.storage=sqlite:////sweeps/mine/../x.db",
    # resolvers, plain, escaped and nested
    *("data.path=${oc.env:X}", r"data.path=$\{oc.env:X\}", r"data.path='\${oc.env:X}'", "data.path=str('${x}')"),
    *("data.x=[1,{a:'${oc.env:X}'}]", "data.path=choice(a,'${x}')", "hydra.sweeper.params.model.cell='choice(${x},b)'"),
    # what is no override
    *("plain", "", "=", None, 3, ["seed=1"]),
]  # fmt: skip


def test_what_is_replayed() -> None:
    directory = Path("/sweeps/mine")
    assert {argument: refusal(argument, directory) for argument in REPLAYED} == dict.fromkeys(REPLAYED)
    assert [argument for argument in REFUSED if refusal(argument, directory) is None] == []


def test_groups_are_those_of_the_tool() -> None:
    """All but those of logging, whose configuration can name classes."""
    folders = {str(path.relative_to(conf_directory())) for path in conf_directory().rglob("*") if path.is_dir()}
    assert {"hydra", "hydra/job_logging", "hydra/hydra_logging", *GROUPS} == folders | {"hydra/launcher"}


@pytest.mark.parametrize("text", ["plain", "a'b\\", "${oc.env:HOME}", "\\${x}", "a b, [c]", "x${"])
def test_a_literal_text_means_itself(text: str) -> None:
    (override,) = parse([f"key={literal(text)}"])
    assert OmegaConf.create({"key": override.value()}).key == text


def write_plan(folder: Path, *arguments: Any) -> None:
    """A sweep's directory with this recorded command."""
    folder.mkdir()
    (folder / "sweep.json").write_text(
        json.dumps({"arguments": arguments, "began": "x", "sitting": {"id": "x", "pid": 1, "started": "x"}, "jobs": []})
    )


def test_a_command_that_runs_code_is_refused(tmp_path: Path, run_in: Callable[[Path], Run], fails: Fails) -> None:
    write_plan(tmp_path / "s", "-m", *TINY, "seed=1,2", f"+hydra.job.env_set.CXX='touch {tmp_path}/ran'")
    result = run_in(tmp_path)("sweep.resume=s", SEQTRAIN_CACHE_DIR=str(tmp_path / "cache"))
    fails(result, "s/sweep.json: ", "+hydra.job.env_set.CXX", "may run code", "give it beside sweep.resume=s")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


def test_what_is_given_now_is_the_users_own(tmp_path: Path) -> None:
    write_plan(
        tmp_path / "s", "-m", "seed=1,2", "hydra.sweep.dir=t", "--config-dir", "mine", "hydra/sweeper/sampler=cmaes"
    )
    given = ["hydra/sweeper/sampler=cmaes", "--config-dir", "mine"]
    directory = f"hydra.sweep.dir='{tmp_path / 's'}'"
    assert sweep_arguments([f"sweep.resume={tmp_path / 's'}", *given]) == ["-m", "seed=1,2", *given, directory]
    with pytest.raises(RunError, match="'--config-dir' of the recorded command"):
        sweep_arguments([f"sweep.resume={tmp_path / 's'}", given[0]])


@pytest.mark.parametrize(
    "extra",
    [
        {"+hydra.job.env_set.CXX": "touch ran"},
        {"data.path": "${oc.env:HOME}"},
    ],
)
def test_parameters_that_a_study_brings_along_are_refused(
    tmp_path: Path, run_in: Callable[[Path], Run], fails: Fails, extra: dict[str, str]
) -> None:
    (tmp_path / "s").mkdir()
    study = optuna.create_study(study_name="s", storage=f"sqlite:///{tmp_path}/s/study.db")
    spaces = {key: CategoricalDistribution([value]) for key, value in extra.items()}
    study.add_trial(create_trial(state=TrialState.WAITING, params=extra, distributions=spaces))  # type: ignore[arg-type]
    options = ["-m", "hydra/sweeper=optuna", "hydra.sweep.dir=s", *TINY, "trainer.lr=choice(0.1,0.2)"]
    result = run_in(tmp_path)(*options)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("seqtrain: error: study s: the parameter") and next(iter(extra)) in line
    assert not list(tmp_path.glob("s/*/")) and not (tmp_path / "ran").exists()


def test_a_journal_that_names_a_file_is_refused(tmp_path: Path) -> None:
    """SQLite takes it for the rest of a transaction over several databases, and deletes the file at its end."""
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    database = tmp_path / "study.db"
    optuna.create_study(study_name="s", storage=f"sqlite:///{database}")
    magic, name = pruning.NAMES_A_FILE, str(outside).encode()
    page, sector = 4096, 512
    head = magic + struct.pack(">5I", 0, 0, database.stat().st_size // page, sector, page)
    end = struct.pack(">I", 2**30 // page + 1) + name + struct.pack(">2I", len(name), sum(name)) + magic
    database.with_name("study.db-journal").write_bytes(head.ljust(sector, b"\0") + end)
    with pytest.raises(ConfigError, match="study.db-journal is not of a study"):
        pruning.open_storage(f"sqlite:///{database}", "hydra.sweeper.storage")
    assert outside.read_text() == "mine"  # sqlite3.connect, and any query, deletes it: SQLite 3.40


def test_a_resumed_run_opens_no_database(tmp_path: Path, run_in: Callable[[Path], Run]) -> None:
    """Killed before its first checkpoint, it starts again, whatever study its configuration names."""
    run = shutil.copytree(STORED / "forecaster", tmp_path / "run")
    for name in ("checkpoints", "predictions"):
        shutil.rmtree(run / name)
    (run / "metrics.jsonl").unlink()
    text = (run / "config.yaml").read_text().replace("/home/someone/experiments", str(STORED))
    study = f"storage: sqlite:///{tmp_path}/anywhere.db\n  study: s\n  trial: 0\n"
    (run / "config.yaml").write_text(text.replace("storage: null\n  study: null\n  trial: null\n", study))
    assert "anywhere.db" in (run / "config.yaml").read_text()
    result = run_in(tmp_path)("resume=run", "device=cpu")
    assert result.returncode == 0 and "starting again" in result.stderr, result.stderr
    assert os.listdir(tmp_path) == ["run"]


def test_a_job_is_not_found_by_a_name_that_means_more(tmp_path: Path) -> None:
    for name in ("0-a-0123456789", "${oc.env:HOME}-aaaaaaaaaa", "it's-bbbbbbbbbb"):
        (tmp_path / name).mkdir()
    wanted = ["0123456789", "aaaaaaaaaa", "bbbbbbbbbb"]
    assert Sweep(tmp_path).started_jobs(wanted) == {"0123456789": "0-a-0123456789"}

"""Packages of one's own: those in examples/, really installed, and plugins that are broken."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtrain.commands.build import check_model, check_targets
from seqtrain.config import registry
from seqtrain.config.base import DataConfig, Targets
from seqtrain.config.root import Config
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.errors import ConfigError
from seqtrain.layers.masks import real_steps
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.training.checkpoint import load_checkpoint
from tests import command_line

Run = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[1]
D, H, B, T = 5, 4, 3, 7


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the examples were installed into, from copies, so that no build stays behind."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("own_model", "own_task"):
        ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
        shutil.copytree(ROOT / "examples" / name, source / name, ignore=ignored)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--target", target, source / "own_model", source / "own_task"],
        check=True, capture_output=True,
    )  # fmt: skip
    return target


@pytest.fixture
def seqtrain(tmp_path: Path) -> Run:
    """Run Python in an empty folder, ``-m seqtrain`` unless told otherwise, with a folder of packages on its path."""

    def run(
        packages: Path, *arguments: str, start: tuple[str, ...] = ("-m", "seqtrain"), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *start, *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env=command_line.environment(PYTHONPATH=f"{packages}{os.pathsep}{ROOT}") | environment,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def imported(installed: Path) -> Iterator[Callable[[str], Any]]:
    """Imports a module of the examples from where they were installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(installed)
        yield importlib.import_module
    for name in [name for name in sys.modules if name.partition(".")[0] in ("own_model", "own_task")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def own_model(imported: Callable[[str], Any]) -> Any:
    """The module own_model.model."""
    return imported("own_model.model")


def test_train_and_eval(seqtrain: Run, installed: Path, reviews: Path, tmp_path: Path) -> None:
    result = seqtrain(
        installed, "model=my_model", "data=text_files", f"data.path={reviews}", "data.batch_size=16",
        "data.min_count=1", "data.vocab_size=100", "model.embedding.embed_dim=12", "model.hidden_size=10",
        "trainer.max_steps=3", "trainer.baselines=false", "trainer.figures=false", "device=cpu", "hydra.run.dir=run",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    results = read_json(tmp_path / "run/results.json")
    assert results["model"] == "my_model"
    result = command_line.seqtrain(installed, "eval", f"run={tmp_path / 'run'}")
    assert result.returncode == 0, result.stderr
    reported, summary = results["scores"]["my_model"]["test"], json.loads(result.stdout)
    assert {name: summary[name] for name in reported} == reported and summary["size"] == 80

    result = command_line.seqtrain(tmp_path, "eval", "run=run")  # without the package
    assert result.returncode == 1 and "model.kind='min_gru': not a registered kind" in result.stderr


def test_it_is_an_option_like_the_others(installed: Path) -> None:
    seqtrain = partial(command_line.seqtrain, installed)
    assert {"my_model,", "gru,"} <= set(seqtrain("--help").stdout.split())
    assert "model.hidden_size=" in seqtrain("--help", "model.my_model").stdout
    assert "num_layers: 2" in seqtrain("--cfg", "job", "model=my_model").stdout
    words = "seqtrain model=my_"
    completion = seqtrain("-sc", "query=bash", COMP_LINE=words, COMP_POINT=str(len(words)))
    assert completion.stdout.split() == ["model=my_model"], completion.stderr
    assert "model.hidden_size=0: must be" in seqtrain("model=my_model", "model.hidden_size=0").stderr
    assert "did you mean model.hidden_size=1" in seqtrain("model=my_model", "model.hidden_sise=1").stderr


def test_it_registers_without_torch(seqtrain: Run, installed: Path) -> None:
    code = "import sys, own_model, own_task, own_task.statistics; own_model.register(); own_task.register()"
    code += "; print('torch' in sys.modules)"
    assert seqtrain(installed, start=("-c", code)).stdout.strip() == "False"


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_min_gru_equals_its_equation(own_model: Any) -> None:
    torch.manual_seed(0)
    layer = own_model.MinGRU(D, H)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x, start = torch.randn(B, T, D), torch.randn(B, H)
    parameters = (layer.gate.weight, layer.gate.bias, layer.candidate.weight, layer.candidate.bias)
    wz, bz, wh, bh = (parameter.detach().double().numpy() for parameter in parameters)
    for state in (None, start):
        expected = np.zeros((B, T, H))
        for b in range(B):
            h = np.zeros(H) if state is None else state[b].double().numpy()
            for t in range(T):
                x_t = x[b, t].double().numpy()
                z = sigmoid(wz @ x_t + bz)
                h = (1 - z) * h + z * (wh @ x_t + bh)
                expected[b, t] = h
        outputs, after = layer(x, state)
        np.testing.assert_allclose(outputs.detach().numpy(), expected, atol=1e-5)
        assert torch.equal(after, outputs[:, -1])
    whole, _ = layer(x)
    first, carried = layer(x[:, :3])
    torch.testing.assert_close(torch.cat([first, layer(x[:, 3:], carried)[0]], 1), whole)


def batch_of(rows: list[Tensor], extra_padding: int = 0) -> Batch:
    lengths = torch.tensor([len(row) for row in rows])
    inputs = torch.nn.utils.rnn.pad_sequence([*rows, torch.zeros(int(lengths.max()) + extra_padding).long()], True)
    return Batch(inputs[:-1], torch.zeros(len(rows)), lengths, np.arange(len(rows)), int(lengths.sum()))


@pytest.mark.parametrize("pooling", ["last", "mean", "attention_max", "concat"])
@pytest.mark.parametrize(("causal", "pooled"), [(False, True), (False, False), (True, False)])
def test_padding_and_the_future_never_change_a_step(own_model: Any, pooling: str, causal: bool, pooled: bool) -> None:
    torch.manual_seed(0)
    config = own_model.MinGRUConfig(hidden_size=H)
    config.embedding.embed_dim = D
    config.pooling = type(config.pooling)(pooling)
    spec = DataSpec(vocab_size=30, pad_id=0)
    model = own_model.MinGRUModel.from_config(config, spec, causal=causal, pooled=pooled).eval()
    rows = [torch.randint(1, 30, (length,)) for length in (9, 4, 1, 7)]
    batch = batch_of(rows, extra_padding=5)
    together = model(batch)[0]
    assert together.shape[-1] == model.output_size
    real = real_steps(batch.lengths, batch.inputs.shape[1])
    for i, row in enumerate(rows):
        alone = model(batch_of([row]))[0][0]
        torch.testing.assert_close(together[i] if pooled else together[i, real[i]], alone, atol=1e-5, rtol=1e-5)
    together.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    if causal:
        changed = rows[0].clone()
        changed[5] = rows[0][5] % 29 + 1
        before, after = (model(batch_of([row]))[0][0] for row in (rows[0], changed))
        torch.testing.assert_close(before[:5], after[:5])
        assert not torch.allclose(before[5:], after[5:])


STARS = [
    "data=star_reviews", "data.path=stars.csv", "model=word_mean", "trainer.schedule=constant",
    "trainer.warmup_steps=0", "trainer.figures=false", "device=cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def stars(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages, from where commands find them, the texts of own_task, and a run of two steps."""
    folder = tmp_path_factory.mktemp("stars") / "folder"
    shutil.copytree(installed, folder)
    shutil.copyfile(ROOT / "examples/own_task/stars.csv", folder / "stars.csv")
    result = command_line.seqtrain(folder, *STARS, "trainer.max_steps=2", "hydra.run.dir=run")
    assert result.returncode == 0, result.stderr
    return folder


def test_own_task_trains_and_evaluates(stars: Path) -> None:
    scores = read_json(stars / "run/results.json")["scores"]
    assert list(scores) == ["word_mean", "shares"]
    assert all(set(split) == {"mae", "accuracy", "loss"} for who in scores.values() for split in who.values())
    result = command_line.seqtrain(stars, "eval", "run=run", "data.eval_batch_tokens=300")
    assert result.returncode == 0, result.stderr
    assert {name: json.loads(result.stdout)[name] for name in ("mae", "accuracy")} == {
        name: scores["word_mean"]["test"][name] for name in ("mae", "accuracy")
    }
    lines = (stars / "stars.csv").read_text().splitlines()[:31]
    (stars / "others.csv").write_text("\n".join(lines) + "\n")
    result = command_line.seqtrain(stars, "eval", "run=run", "data.path=others.csv")
    assert json.loads(result.stdout)["size"] == 30, result.stderr
    (stars / "others.csv").write_text("text,stars\nGood.,4.5\n")
    result = command_line.seqtrain(stars, "eval", "run=run", "data.path=others.csv")
    assert "others.csv: line 2 has stars='4.5'; must be a whole number from 1 to 5" in result.stderr


def test_an_option_of_a_plugin_that_decides_the_inputs_is_fixed(stars: Path, fails: Callable[..., None]) -> None:
    for key in ("data.lowercase=false", "data.num_stars=6", "task.initial_gap=2"):
        fails(command_line.seqtrain(stars, "eval", "run=run", key), f"{key.partition('=')[0]}: is fixed by the trained")


def test_own_task_resumes(stars: Path) -> None:
    """From step 2 to step 4, with the weights of a run that was never stopped."""
    shutil.copytree(stars / "run", stars / "resumed")
    for arguments in (["resume=resumed"], [*STARS, "hydra.run.dir=whole"]):
        result = command_line.seqtrain(stars, *arguments, "trainer.max_steps=4")
        assert result.returncode == 0, result.stderr
    resumed, whole = (RunDirectory(stars / name) for name in ("resumed", "whole"))
    first, second = (load_checkpoint(run.checkpoint_path("last"), run.id) for run in (resumed, whole))
    assert first["step"] == second["step"] == 4
    for part in ("model", "head"):
        assert all(torch.equal(value, second[part][name]) for name, value in first[part].items())


def test_own_task_predicts(stars: Path, seqtrain: Run) -> None:
    (stars / "new.csv").write_text('text\nThe film was superb.\n""\nThe book was dull and the music was awful.\n')
    result = command_line.seqtrain(stars, "predict", "run=run", "input=new.csv", "output=-")
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert rows[1]["prediction"] is rows[1]["expected"] is None
    code = "import sys, seqtrain; predictor = seqtrain.load(sys.argv[1], device='cpu')\n"
    code += "for text in sys.argv[2:]: print(*[(p.stars, round(p.expected, 5)) for p in predictor.predict([text])])"
    texts = [rows[0]["text"], rows[2]["text"]]
    result = seqtrain(stars, str(stars / "run"), *texts, start=("-c", code))
    expected = [str((rows[i]["prediction"], round(rows[i]["expected"], 5))) for i in (0, 2)]
    assert result.stdout.splitlines() == expected, result.stderr


def test_own_task_is_compared(stars: Path) -> None:
    options = ["model=word_mean,self_attn", "seed=0,1", "trainer.max_steps=2"]
    result = command_line.seqtrain(stars, "-m", *STARS, *options, "hydra.sweep.dir=sweep")
    assert result.returncode == 0, result.stderr
    result = command_line.seqtrain(stars, "compare", "sweep", "metric=mae,accuracy,loss")
    assert result.returncode == 0, result.stderr
    assert (
        "star_reviews, stars, test of 48 texts" in result.stdout and "resamples of the 48 test texts" in result.stdout
    )
    assert result.stdout.count("2 seeds each") == 3 and result.stdout.count("95 % interval") == 3
    assert " stars" in result.stdout and " points of accuracy" in result.stdout and " nats" in result.stdout


def test_own_task_is_in_the_help(stars: Path) -> None:
    assert {"star_reviews,", "word_mean"} <= set(command_line.seqtrain(stars, "--help").stdout.split())
    assert "Distance between neighbouring" in command_line.seqtrain(stars, "--help", "task.stars").stdout


def test_ordinal_head_equals_its_equation(imported: Callable[[str], Any]) -> None:
    """P(y > k) = sigmoid(w x - b_k); far from all thresholds the gradients are still numbers."""
    torch.manual_seed(0)
    head = imported("own_task.task").OrdinalHead(D, 5, 1.5)
    x = torch.randn(B, D)
    thresholds = torch.tensor([-2.25, -0.75, 0.75, 2.25])
    above = torch.sigmoid(head.score(x) - thresholds)
    probabilities = torch.cat([torch.ones(B, 1), above], 1) - torch.cat([above, torch.zeros(B, 1)], 1)
    torch.testing.assert_close(head(x).exp(), probabilities)
    head(1e3 * x).sum().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in head.parameters())


def test_word_mean_ignores_padding(imported: Callable[[str], Any]) -> None:
    model = imported("own_task.model").WordMean(30, 0, D, 0.5).eval()
    rows = [torch.randint(1, 30, (length,)) for length in (6, 1, 3)]
    together = model(batch_of(rows, extra_padding=2))[0]
    assert together.shape == (3, model.output_size)
    for i, row in enumerate(rows):
        torch.testing.assert_close(together[i], model(batch_of([row]))[0][0])


@dataclass
class TidesConfig(DataConfig):
    lookback: int = 48
    horizon: int = 12


class Tides:
    targets = Targets.future


class Order:
    targets = "order"


def test_models_of_series_take_those_of_a_plugin(composed: Callable[..., Config], monkeypatch: Any) -> None:
    configs = [composed("data=sine", f"model={name}") for name in ("linear", "lstm_seq2seq", "gru")]
    monkeypatch.setitem(registry.REGISTRY["data"], "tides", registry.Registration(TidesConfig, f"{__name__}:Tides"))
    for config in configs:
        config.data = TidesConfig(kind="tides", name="tides")
        check_model(config)


def test_data_and_task_of_a_plugin_may_have_targets_of_their_own(
    composed: Callable[..., Config], monkeypatch: Any
) -> None:
    config = composed("model=gru")
    monkeypatch.setitem(registry.REGISTRY["task"], "order", registry.Registration(DataConfig, f"{__name__}:Order"))
    config.task.kind = config.task.name = "order"
    check_targets(config, "order")
    with pytest.raises(ConfigError, match="task=order: predicts the order of a sequence, but .* has its class"):
        check_targets(config, Targets.sequence_class)


FAULTS = {
    "import nothing_of_this_name": "ModuleNotFoundError: No module named 'nothing_of_this_name'",
    "def register(): raise RuntimeError('on strike')": "RuntimeError: on strike",
    "def begin(): pass": "AttributeError",
    "from pathlib import Path\nfrom seqtrain.config.registry import register_folder\n"
    "def register(): register_folder(Path(__file__).parent / 'none')": "none: no such folder",
}


@pytest.mark.parametrize(("source", "message"), FAULTS.items(), ids=["import", "call", "name", "folder"])
def test_a_broken_plugin_is_named(tmp_path: Path, source: str, message: str) -> None:
    packages = tmp_path / "packages"
    (packages / "broken-0.1.dist-info").mkdir(parents=True)
    (packages / "broken.py").write_text(source + "\n")
    (packages / "broken-0.1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0.1\n")
    (packages / "broken-0.1.dist-info/entry_points.txt").write_text("[seqtrain.plugins]\nmine = broken:register\n")
    for arguments in (["--help"], ["eval", "run=x"]):
        result = command_line.seqtrain(packages, *arguments)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith("seqtrain: error: plugin mine (broken:register) of the package broken: ")
        assert message in line and line.endswith("fix it or uninstall broken")
    if "strike" in source:
        trace = command_line.seqtrain(packages, "--help", HYDRA_FULL_ERROR="1").stderr
        assert "broken.py" in trace and "def register(): raise RuntimeError" in trace


def test_an_option_of_a_name_that_is_taken(installed: Path, tmp_path: Path) -> None:
    packages = shutil.copytree(installed, tmp_path / "packages")
    folder = packages / "own_model/conf/model"
    (folder / "my_model.yaml").rename(folder / "gru.yaml")
    result = command_line.seqtrain(packages, "--help")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert f"{folder}/gru.yaml: an option of this name is in" in result.stderr

"""A package of one's own: examples/own_model, really installed, and plugins that are broken."""

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtrain.data.base import Batch, DataSpec
from seqtrain.layers.masks import real_steps
from seqtrain.run_directory import read_json
from tests import command_line

Run = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[1]
D, H, B, T = 5, 4, 3, 7


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the example was installed into, from a copy, so that no build stays behind."""
    source, target = tmp_path_factory.mktemp("source") / "own_model", tmp_path_factory.mktemp("installed")
    shutil.copytree(
        ROOT / "examples/own_model", source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    )
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--target", target, source],
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
            env=command_line.environment(PYTHONPATH=str(packages)) | environment,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def own_model(installed: Path) -> Iterator[Any]:
    """The module own_model.model, imported from where it was installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(installed)
        yield importlib.import_module("own_model.model")
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_model"]:
        del sys.modules[name]


def test_train_and_eval(seqtrain: Run, installed: Path, reviews: Path, tmp_path: Path) -> None:
    result = seqtrain(
        installed, "model=my_model", "data=text_files", f"data.path={reviews}", "data.batch_size=16",
        "data.min_count=1", "data.vocab_size=100", "model.embedding.embed_dim=12", "model.hidden_size=10",
        "trainer.max_steps=3", "trainer.baselines=false", "trainer.figures=false", "device=cpu", "hydra.run.dir=run",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    results = read_json(tmp_path / "run/results.json")
    assert results["model"] == "my_model"
    result = seqtrain(installed, "eval", "run=run")
    assert result.returncode == 0, result.stderr
    reported, summary = results["scores"]["my_model"]["test"], json.loads(result.stdout)
    assert {name: summary[name] for name in reported} == reported and summary["size"] == 80

    result = seqtrain(tmp_path, "eval", "run=run")  # without the package
    assert result.returncode == 1 and "model.kind='min_gru': not a registered kind" in result.stderr


def test_it_is_an_option_like_the_others(seqtrain: Run, installed: Path) -> None:
    (line,) = [x for x in seqtrain(installed, "--help").stdout.splitlines() if x.startswith("  model: ")]
    assert {"my_model", "gru"} <= set(line.removeprefix("  model: ").split(", "))
    assert "num_layers: 2" in seqtrain(installed, "--cfg", "job", "model=my_model").stdout
    words = "seqtrain model=my_"
    completion = seqtrain(installed, "-sc", "query=bash", COMP_LINE=words, COMP_POINT=str(len(words)))
    assert completion.stdout.split() == ["model=my_model"], completion.stderr
    assert "model.hidden_size=0: must be" in seqtrain(installed, "model=my_model", "model.hidden_size=0").stderr
    assert "did you mean hidden_size" in seqtrain(installed, "model=my_model", "model.hidden_sise=1").stderr


def test_it_registers_without_torch(seqtrain: Run, installed: Path) -> None:
    code = "import sys, own_model; own_model.register(); print('torch' in sys.modules)"
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


@pytest.mark.parametrize("pooling", ["last", "mean", "attention_max"])
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


FAULTS = {
    "import nothing_of_this_name": "ModuleNotFoundError: No module named 'nothing_of_this_name'",
    "def register(): raise RuntimeError('on strike')": "RuntimeError: on strike",
    "def begin(): pass": "AttributeError",
    "from pathlib import Path\nfrom seqtrain.config.registry import register_folder\n"
    "def register(): register_folder(Path(__file__).parent / 'none')": "none: no such folder",
}


@pytest.mark.parametrize(("source", "message"), FAULTS.items(), ids=["import", "call", "name", "folder"])
def test_a_broken_plugin_is_named(seqtrain: Run, tmp_path: Path, source: str, message: str) -> None:
    packages = tmp_path / "packages"
    (packages / "broken-0.1.dist-info").mkdir(parents=True)
    (packages / "broken.py").write_text(source + "\n")
    (packages / "broken-0.1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0.1\n")
    (packages / "broken-0.1.dist-info/entry_points.txt").write_text("[seqtrain.plugins]\nmine = broken:register\n")
    for arguments in (["--help"], ["eval", "run=x"]):
        result = seqtrain(packages, *arguments)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith("seqtrain: error: plugin mine (broken:register) of the package broken: ")
        assert message in line and line.endswith("fix it or uninstall broken")
    if "strike" in source:
        trace = seqtrain(packages, "--help", HYDRA_FULL_ERROR="1").stderr
        assert "broken.py" in trace and "def register(): raise RuntimeError" in trace


def test_an_option_of_a_name_that_is_taken(seqtrain: Run, installed: Path, tmp_path: Path) -> None:
    packages = shutil.copytree(installed, tmp_path / "packages")
    folder = packages / "own_model/conf/model"
    (folder / "my_model.yaml").rename(folder / "gru.yaml")
    result = seqtrain(packages, "--help")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert f"{folder}/gru.yaml: an option of this name is in" in result.stderr

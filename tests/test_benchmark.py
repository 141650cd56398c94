"""scripts/benchmark through its command line, on the embedded texts; and that a peer computes what the tool does."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarking.torch_translation import Translator
from seqtrain.commands.build import build_model
from seqtrain.config.root import Config
from seqtrain.data.pairs.dataset import pair_batch
from seqtrain.data.spec import DataSpec

SCRIPT = Path(__file__).parents[1] / "scripts" / "benchmark"


@pytest.mark.slow
def test_contestants_are_alike_and_all_are_timed(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "docstrings-gru", "processes-docstrings", "--steps", "2", "--repeats", "2"]
    result = subprocess.run([*command, "--threads", "1", "--out", str(tmp_path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == (tmp_path / "table.md").read_text()
    cases = json.loads((tmp_path / "times.json").read_text())["cases"]
    classifiers, processes = cases["docstrings-gru, cpu"], cases["processes-docstrings, cpu"]
    assert {"seqtrain", "PyTorch, padded, bucketed", "PyTorch, packed, shuffled"} <= classifiers.keys()
    assert len({times["parameters"] for times in classifiers.values()}) == 1
    for times in classifiers.values():
        assert len(times["seconds"]) == 2 and min(times["seconds"]) > 0
        assert [work["steps"] for work in times["work"]] == [2, 2]
        assert all(0 < work["tokens"] <= work["places"] for work in times["work"])
    # Two processes share the very batches that one has.
    assert processes["2 processes of 1 thread"]["work"] == processes["1 process of 1 thread"]["work"]
    assert (tmp_path / "plot.png").stat().st_size > 0


def test_wrong_arguments_are_named() -> None:
    for arguments, message in (
        (["imdb"], "imdb: no such case; known: limits, "),
        (["etth1", "--steps", "0"], "at least 1"),
    ):
        result = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)
        assert result.returncode == 2 and message in result.stderr


def test_the_translator_of_the_peer_is_that_of_the_tool(composed: Callable[..., Config]) -> None:
    """The same parameters give the same logits, at once and target by target."""
    sizes = ["model.hidden_size=8", "model.embedding.embed_dim=8", "model.kernel=torch", "device=cpu"]
    config = composed("data=pair_files", "model=gru_translator", *sizes)
    built = build_model(config, DataSpec(targets="translation", vocab_size=20, target_vocab_size=15, pad_id=0))
    built.model.eval(), built.head.eval()
    own = {name: p for part in (built.model, built.head) for name, p in part.named_parameters()}
    renamed = {
        "embedding": "source_vectors", "target_embedding": "target_vectors", "output_attention.attention.": "",
        "encoder.layers.0.forward_layer": "encoder", "encoder.layers.0.backward_layer": "encoder",
        "decoder.layers.0.forward_layer": "decoder",
    }  # fmt: skip
    weights = {"output.weight": own["weight"], "output.bias": own.pop("bias")}
    for name, p in own.items():
        place = f"{name}_reverse" if "backward" in name else name
        for old, new in renamed.items():
            place = new + place.removeprefix(old) if place.startswith(old) else place
        weights[place] = p
    weights.pop("weight")
    sources, previous = torch.randint(4, 20, (3, 5)), torch.randint(4, 15, (3, 6))
    targets = pair_batch(sources, torch.full((3,), 5), previous, torch.full((3,), 6), np.arange(3))
    for stepwise in (False, True):
        peer = Translator(20, 15, 8, 0.3, stepwise)
        peer.load_state_dict(weights)
        with torch.no_grad():
            expected = built.head(built.model(targets)[0])
            torch.testing.assert_close(peer.eval()(sources, targets.previous), expected, atol=1e-5, rtol=1e-5)

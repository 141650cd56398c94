"""Every recipe of conf/experiment/ and of the README takes a step, on made-up data in the place of public data."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqtrain.cli.hydra_setup import conf_directory
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.data.text import chapters
from seqtrain.errors import DataError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from tests.archives import write_pair
from tests.commands_in_docs import ROOT, commands_of, single_values

Compose = Callable[..., Config]
RECIPES = sorted(path.stem for path in (conf_directory() / "experiment").glob("*.yaml"))
NARROW = ["model.hidden_size=16", "model.embedding.embed_dim=16"]
SMALLER = {
    "docstrings_wide": NARROW,
    "etth1_segrnn": ["model.hidden_size=16", "data.batch_size=8"],
    "ettm1_segrnn": ["model.hidden_size=16", "data.batch_size=8"],
    "imdb_attention_max": NARROW,
    "imdb_wide_gru": NARROW,
    "multi30k_gru_attn": NARROW,
    "series_gru_attn": ["data.path=waves"],
    "series_gru_fcn": ["data.path=waves"],
    "tiny_shakespeare_lstm": NARROW,
    "wikitext2_awd_lstm": ["model.hidden_sizes=[46,46,16]", "model.embedding.embed_dim=16", "data.batch_size=10"],
    "wikitext2_lstm": ["model.hidden_sizes=[24,16]", "model.embedding.embed_dim=16"],
}
IN_README: dict[frozenset[str], list[str]] = {}
"""Commands of the README that train, one of those that differ in length, place and seed only."""
for command in commands_of(Path("README.md")):
    if command.name == "train" and not command.wrong and not {"--cfg", "--help"} & command.flags:
        given = [o for o in single_values(command.overrides) if not o.startswith(("debug=", "trainer.", "seed="))]
        if not any(o.startswith("+experiment=") for o in given):  # which stand above
            IN_README.setdefault(frozenset(given) - {"data=docstrings"}, given)


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what SEQTRAIN_DATA_DIR would hold, with made-up contents."""
    folder, rng = tmp_path_factory.mktemp("data"), random.Random(0)
    words = ["the", "a", "plot", "actor", "scene", "good", "bad", "dull", "fine", "ending"]

    def text(count: int) -> str:
        return " ".join(rng.choices(words, k=count))

    for name in ("imdb", "wikitext2", "tiny_shakespeare", "ett"):
        (folder / name).mkdir()
    for split in ("train", "test"):
        rows = {"text": [text(rng.randint(5, 40)) for _ in range(60)], "label": [0, 1] * 30}
        pd.DataFrame(rows).to_parquet(folder / "imdb" / f"{split}.parquet")
    for split in ("train", "validation", "test"):
        lines = [" = A title = ", *(f" {text(30)} " for _ in range(60 if split == "train" else 20))]
        pd.DataFrame({"text": lines}).to_parquet(folder / "wikitext2" / f"{split}.parquet")
    (folder / "tiny_shakespeare" / "input.txt").write_text("\n".join(text(8) for _ in range(800)))
    (folder / "multi30k").mkdir()
    for split in ("train", "val", "test_2016_flickr"):
        lengths = [rng.randint(3, 12) for _ in range(70)]
        for side in ("de", "en"):
            (folder / "multi30k" / f"{split}.{side}").write_text("".join(f"{text(length)}\n" for length in lengths))
    names = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
    for series, count, step in (("ETTh1", 14_400, "h"), ("ETTm1", 57_600, "15min")):
        values = np.sin(np.arange(count)[:, None] / 24 + np.arange(7))
        values += np.random.default_rng(0).normal(0, 0.1, values.shape)
        frame = pd.DataFrame(values.round(3), columns=names)
        frame.insert(0, "date", pd.date_range("2016-07-01", periods=count, freq=step).strftime("%Y-%m-%d %H:%M:%S"))
        frame.to_csv(folder / "ett" / f"{series}.csv", index=False)
    write_pair(folder / "waves")
    return folder


@pytest.fixture(autouse=True)
def few_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of four packages of the standard library, which are read in a tenth of the time of all."""
    packages = ("asyncio", "email", "logging", "unittest")
    monkeypatch.setattr(chapters, "_CHAPTER_OF", {name: chapters._CHAPTER_OF[name] for name in packages})


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe(recipe: str, composed: Compose, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQTRAIN_DATA_DIR", str(data))
    monkeypatch.chdir(data)
    quick = ["debug=dry", "trainer.figures=false", "device=cpu"]
    config = composed(f"+experiment={recipe}", *quick, *SMALLER.get(recipe, []))
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    value = train(config, run)
    assert np.isfinite(value)
    assert read_json(run.results_path)["scores"]


@pytest.mark.parametrize("overrides", IN_README.values(), ids=" ".join)
def test_command_of_the_readme(
    overrides: list[str], composed: Compose, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQTRAIN_DATA_DIR", str(data))
    monkeypatch.chdir(ROOT)  # where examples/ is
    faster = ["data.tokenizer=byte"] if "data=stdlib" in overrides else []  # pairs take 20 s to learn
    config = composed(*overrides, *faster, "debug=dry", "trainer.figures=false", "device=cpu")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    try:
        value = train(config, run)
    except DataError as error:
        if "no local copy" in str(error):
            pytest.skip(f"no made-up data of this name: {error}")
        raise
    assert np.isfinite(value)
    assert read_json(run.results_path)["scores"]

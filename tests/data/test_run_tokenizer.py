"""A run whose tokenizer.json is damaged, or of another run: one line wherever it is read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from seqtrain.commands.build import build_data
from seqtrain.commands.generate import Generation, generate
from seqtrain.commands.predict import load, predict
from seqtrain.commands.train import train
from seqtrain.config.root import Config
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory

Compose = Callable[..., Config]
SMALL = ["model.hidden_size=6", "model.embedding.embed_dim=6", "trainer.max_steps=1", "device=cpu"]
QUICK = ["trainer.figures=false", "trainer.baselines=false"]
TEXT = "".join(f"word {i % 50} and more words\n" for i in range(300))
KINDS = {
    "texts": ["data=text_files", "data.min_count=1"],
    "tags": ["data=tagging_files"],
    "corpus": ["data=text_corpus", "data.bptt_len=4", "data.batch_size=2", "data.eval_batch_size=2"],
}


@pytest.fixture(scope="module")
def runs(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Config, Path, Path]]:
    """A run of each kind, with its configuration and its data."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "corpus.txt").write_text(TEXT)
    rows = [f"a text {i} that is {'good' if i % 2 else 'bad'},{'pos' if i % 2 else 'neg'}\n" for i in range(40)]
    (folder / "texts.csv").write_text("".join(["text,label\n", *rows]))
    (folder / "tags.conll").write_text("".join(f"Ann B-PER\nmet O\nBo{i} B-PER\n\n" for i in range(30)))
    made = {}
    for path in sorted(folder.iterdir()):
        config = composed(*KINDS[path.stem], f"data.path={path}", *SMALL, *QUICK)
        train(config, RunDirectory.claim(folder / "runs" / path.stem, exact=True))
        made[path.stem] = config, folder / "runs" / path.stem, path
    return made


def copied(run: Path, to: Path) -> RunDirectory:
    """A copy of a run as earlier versions made it, which kept no checksums."""
    copy = RunDirectory(Path(shutil.copytree(run, to)))
    content = json.loads(copy.data_path.read_text())
    copy.data_path.write_text(json.dumps({key: content[key] for key in content if "crc32" not in key}))
    return copy


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:700])


def add_token(path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_tokens(["another"])
    tokenizer.save(str(path))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, r"tokenizer\.json: cannot be read as a tokenizer \(.*; copy it from an intact copy"),
        (add_token, r"tokenizer\.json: has (\d+) tokens, and the run's model \d+ \(data\.json\); copy it"),
        (Path.unlink, r"tokenizer\.json: cannot be read"),
    ],
)
def test_each_command_says_so(
    runs: dict[str, tuple[Config, Path, Path]],
    tmp_path: Path,
    kind: str,
    damage: Callable[[Path], object],
    says: str,
) -> None:
    config, run, source = runs[kind]
    copy = copied(run, tmp_path / "run")
    damage(copy.tokenizer_path)
    with pytest.raises(RunError, match=says):
        build_data(config, trained=copy.path)  # of eval and resume
    with pytest.raises(RunError, match=says):
        predict(config, config, copy, str(source), str(tmp_path / "out.jsonl"))
    assert not (tmp_path / "out.jsonl").exists()
    if kind == "corpus":
        with pytest.raises(RunError, match=says):
            generate(config, copy, Generation(max_tokens=1))
    else:
        with pytest.raises(RunError, match=says):
            load(copy.path).predict([["Ann", "met"]] if kind == "tags" else ["a text"])


def test_numbers_with_gaps(runs: dict[str, tuple[Config, Path, Path]], tmp_path: Path) -> None:
    config, run, _ = runs["texts"]
    copy = copied(run, tmp_path / "run").path
    text = (copy / "tokenizer.json").read_text()
    (copy / "tokenizer.json").write_text(text.replace('": 2,', '": 99999,', 1))
    assert (copy / "tokenizer.json").read_text() != text
    with pytest.raises(RunError, match=r"tokenizer\.json: its \d+ tokens are not numbered from 0 to \d+"):
        build_data(config, trained=copy)

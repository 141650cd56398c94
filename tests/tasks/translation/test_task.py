"""Translation: scores against sacrebleu, the loss, baselines, and whole runs with prediction and resume."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seqtrain.commands.build import build_data
from seqtrain.commands.check_resume import check_resume
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.predict import load, predict
from seqtrain.commands.train import train
from seqtrain.config.base import Targets
from seqtrain.config.loading import from_yaml, to_config
from seqtrain.config.root import Config
from seqtrain.config.translation import BleuTokens, TranslationConfig
from seqtrain.data.pairs.dataset import PairData
from seqtrain.errors import ConfigError, DataError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.tasks.language.heads import SoftmaxHead
from seqtrain.tasks.translation.baselines import most_frequent, most_probable, translate
from seqtrain.tasks.translation.scores import counts_of, evaluation_of, signature
from seqtrain.tasks.translation.statistics import STATISTICS
from seqtrain.tasks.translation.task import excess
from tests.configs import models_for
from tests.pairs import OPTIONS, SMALL, pairs, write_lines, write_splits

Compose = Callable[..., Config]

MODELS = [name for name in models_for(Targets.translation) if name.endswith("translator")]
TEXTS = [
    ("the owl sat on the old tree .", "The owl sat in the old tree."),
    ("a moon", "a moon over the pond"),
    ("", "nothing at all"),
    ("House by the lake, at night!", "house by the lake at night"),
    ("it is what it is and it stays what it is", "it is what it is"),
]


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("count", [2, 5])
def test_scores_are_those_of_sacrebleus_command(tmp_path: Path, lowercase: bool, count: int) -> None:
    config = TranslationConfig(lowercase=lowercase)
    translations, references = map(list, zip(*TEXTS[:count], strict=True))
    result = evaluation_of(counts_of(config, translations, references))
    for name, texts in (("out", translations), ("ref", references)):
        (tmp_path / name).write_text("".join(f"{text}\n" for text in texts))
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "out", "-m", "bleu", "chrf", "-w", "9"]
    said = subprocess.run(
        [*command, *(["-lc", "--chrf-lowercase"] if lowercase else [])], cwd=tmp_path, capture_output=True, check=True
    )
    bleu, chrf = json.loads(said.stdout)
    assert result.metrics["bleu"] == pytest.approx(bleu["score"], abs=1e-6)
    assert result.metrics["chrf"] == pytest.approx(chrf["score"], abs=1e-6)
    assert bleu["signature"] == signature(config)


def test_resampled_scores_are_those_of_the_resample() -> None:
    """As ``compare`` resamples: of means over chosen rows."""
    from sacrebleu.metrics import BLEU, CHRF

    counts = counts_of(TranslationConfig(), *(list(side) for side in zip(*TEXTS, strict=True)))
    rng = np.random.default_rng(0)
    for _ in range(10):
        rows = rng.integers(0, 5, 5)
        chosen = [TEXTS[row] for row in rows]
        for name, measure in (("bleu", BLEU()), ("chrf", CHRF())):
            make = STATISTICS.metrics[name].statistic
            assert make is not None
            statistic = make(counts, {})
            expected = measure.corpus_score([t for t, _ in chosen], [[r for _, r in chosen]]).score
            assert statistic.scores(statistic.terms[rows].mean(0)) == pytest.approx(expected, abs=1e-6)


def test_how_bleu_reads_texts_is_in_the_signature() -> None:
    assert "case:lc" in signature(TranslationConfig(lowercase=True))
    assert "tok:char" in signature(TranslationConfig(bleu_tokens=BleuTokens.char))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_label_smoothing_is_that_of_torch(smoothing: float) -> None:
    torch.manual_seed(0)
    head = SoftmaxHead(5, 11, None, nn.Embedding(11, 4))
    nn.init.normal_(head.bias)
    features, targets = torch.randn(7, 5), torch.randint(11, (7,))
    loss = head.nats(features, targets).sum() + smoothing * excess(head, features, targets)
    expected = F.cross_entropy(head(features), targets, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(loss, expected)


def test_the_baseline_learns_a_dictionary(composed: Compose, tmp_path: Path) -> None:
    sources = [["das", "haus"], ["das", "buch"], ["ein", "buch"]]
    targets = [["the", "house"], ["the", "book"], ["a", "book"]]
    assert most_probable(sources, targets) == {"das": "the", "haus": "house", "buch": "book", "ein": "a"}
    write_splits(tmp_path / "pairs")
    data = build_data(composed(*OPTIONS, f"data.path={tmp_path / 'pairs'}"))
    assert isinstance(data, PairData)
    found = translate(data, "test", 3)
    assert found["most frequent target"] == [most_frequent([target for _, target in pairs(60)])] * 3
    assert most_frequent(["a b", "c", "a b", "b c d", "d", "d"]) == "d"
    assert found["copy of the source"] == [source for source, _ in pairs(14, 2)[:3]]
    lexicon = {"eule": "owl", "baum": "tree", "mond": "moon", "teich": "pond", "haus": "house", "see": "lake"}
    by_word = [" ".join(lexicon[word] for word in source.lower().split()) for source, _ in pairs(14, 2)[:3]]
    assert found["word by word (IBM model 1)"] == by_word


@pytest.fixture(scope="module")
def trained(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of a few steps, with baselines and samples."""
    folder = tmp_path_factory.mktemp("run")
    path = write_splits(folder / "pairs")
    config = composed(*OPTIONS, *SMALL, f"data.path={path}", "model=gru_translator", "trainer.max_steps=4")
    run = RunDirectory.claim(folder / "run", exact=True)
    assert np.isfinite(train(config, run))
    return run


def options(run: RunDirectory, **task: Any) -> tuple[Config, Config]:
    saved, config = (to_config(from_yaml(run.config_path)) for _ in range(2))
    vars(config.task).update(task)
    return saved, config


def test_tensorboard_counts_unusual_translations(trained: RunDirectory) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained.path))
    events.Reload()
    tags = [tag for tag in events.Tags()["tensors"] if "unusual_translations" in tag]
    assert {tag.split("/")[0] for tag in tags} == {"4_best", "5_test"}
    assert "Of 14 translations." in events.Tensors(tags[-1])[-1].tensor_proto.string_val[0].decode()


def test_a_run_has_scores_statistics_and_a_signature(trained: RunDirectory) -> None:
    results = read_json(trained.results_path)
    assert set(results["scores"]["gru_translator"]["test"]) == {"bleu", "chrf", "loss", "perplexity"}
    baselines = {"most frequent target", "copy of the source", "word by word (IBM model 1)"}
    assert baselines < set(results["scores"]) and set(results["against_baselines"]) == baselines
    assert results["signature"].startswith("BLEU nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2")
    with np.load(trained.predictions_path) as outputs:
        assert outputs["bleu_counts"].shape == (14, 10) and outputs["chrf_counts"].shape == (14, 18)
        tokens = outputs["nats"].sum() / outputs["lengths"].sum()
    assert tokens == pytest.approx(results["scores"]["gru_translator"]["test"]["loss"])


def test_the_search_may_change_once_a_model_is_trained(
    trained: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    saved, config = options(trained)
    assert evaluate(saved, config, trained) == read_json(trained.results_path)["scores"]["gru_translator"]["test"]
    said = capsys.readouterr().out
    assert '"signature": "BLEU nrefs:1' in said and "sentences/s)" in json.loads(said)["search"]
    _, config = options(trained, beam_size=3, translated_rows=5, length_penalty=0.5)
    scores = evaluate(saved, config, trained)
    assert set(scores) == {"bleu", "chrf", "loss", "perplexity"}
    assert "by beam search with 3 hypotheses, of the first 5 pairs of a split" in capsys.readouterr().out
    vars(config.data).update(eval_batch_tokens=25)  # then no pair of some batches is translated
    assert evaluate(saved, config, trained) == pytest.approx(scores)
    capsys.readouterr()
    _, config = options(trained, label_smoothing=0.3)
    with pytest.raises(ConfigError, match=r"task\.label_smoothing: is fixed by the trained run"):
        evaluate(saved, config, trained)


def test_predictions(trained: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(trained.path, device="cpu")
    found = predictor.predict(["mond see", "eule"])
    assert [each.text for each in found] == [predictor.predict([text])[0].text for text in ("mond see", "eule")]
    assert found[0].candidates[0].text == found[0].text and len(found[0].candidates) == 1
    with pytest.raises(DataError, match="text 1: must be a string that is not blank"):
        predictor.predict(["mond", " "])
    (tmp_path / "new.de").write_text("mond see\n\neule\n")
    saved, config = options(trained, beam_size=3, num_best=2)
    predict(saved, config, trained, str(tmp_path / "new.de"), str(tmp_path / "out.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == ["mond see", "", "eule"]
    assert rows[1]["translation"] is None and rows[1]["score"] is None
    assert len(rows[0]["candidates"]) == 2 and rows[0]["candidates"][0] == rows[0]["translation"]
    predict(saved, config, trained, str(tmp_path / "new.de"), str(tmp_path / "out.csv"))
    assert "candidates" not in (tmp_path / "out.csv").read_text()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"mond see\n"), encoding="utf-8"))
    predict(saved, saved, trained, "-", str(tmp_path / "stdin.jsonl"))
    assert json.loads((tmp_path / "stdin.jsonl").read_text())["translation"] == found[0].text


@pytest.mark.parametrize("model", MODELS)
def test_a_resumed_run_equals_one_that_was_not_stopped(composed: Compose, tmp_path: Path, model: str) -> None:
    path = write_splits(tmp_path / "pairs")
    trainer = ["trainer.warmup_steps=2", "trainer.eval_every=2", "trainer.figures=false", "trainer.baselines=false"]
    sizes = [*SMALL[1:], "model.num_heads=2"] if model == "attn_translator" else SMALL
    config = composed(*OPTIONS, *sizes, f"data.path={path}", f"model={model}", *trainer)
    assert check_resume(config, 3, tmp_path / "check") > 30


def test_errors(composed: Compose, tmp_path: Path) -> None:
    path = write_splits(tmp_path / "pairs")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    with pytest.raises(ConfigError, match=r"model=gru: has no decoder .* use model=gru_translator"):
        train(composed(*OPTIONS, f"data.path={path}", "model=gru"), run)
    config = composed(*OPTIONS, *SMALL, f"data.path={path}", "data.lowercase=true", "model=gru_translator")
    run = RunDirectory.claim(tmp_path / "other", exact=True)
    with pytest.raises(ConfigError, match=r"task\.lowercase=False: must be true with data\.lowercase=true"):
        train(config, run)
    for override, message in (
        ("task.num_best=2", r"task\.num_best=2: must be in \[1, 1\]"),
        ("task.beam_size=0", r"task\.beam_size=0: must be at least 1"),
        ("task.length_limit=0", r"task\.length_limit=0\.0: must be above 0"),
        ("task.scheduled_sampling=1.5", r"task\.scheduled_sampling=1\.5: must be in \[0, 1\]"),
        ("task.label_smoothing=1", r"task\.label_smoothing=1\.0: must be in \[0, 1\)"),
    ):
        with pytest.raises(ConfigError, match=message):
            composed(*OPTIONS, override)


def test_translations_are_learned(composed: Compose, tmp_path: Path) -> None:
    """A few words, one at a time: the model gets them right."""
    rows = [(word, word.upper()) for word in ["ab", "cd", "ef", "gh"]] * 4
    for split in ("train", "val"):
        write_lines(tmp_path, split, rows)
    config = composed(
        *OPTIONS, f"data.path={tmp_path}", "model=gru_translator", "data.tokenizer=word", "device=cpu",
        "model.hidden_size=16", "model.embedding.embed_dim=16", "model.dropout=0", "model.embedding.dropout=0",
        "trainer.lr=0.03", "trainer.warmup_steps=1", "trainer.max_steps=25", "trainer.eval_every=25",
        "trainer.figures=false", "model.kernel=torch", "data.batch_size=16",
    )  # fmt: skip
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    assert [each.text for each in load(run.path, device="cpu").predict(["ef", "ab"])] == ["EF", "AB"]

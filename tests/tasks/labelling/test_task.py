import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
from torch import Tensor, nn

from seqtrain.commands.build import build_data
from seqtrain.commands.evaluate import evaluate
from seqtrain.commands.train import resume, train
from seqtrain.config.root import Config
from seqtrain.config.task import SequenceLabellingConfig
from seqtrain.data.base import Batch
from seqtrain.data.spec import DataSpec
from seqtrain.data.tags.entities import EntityTags
from seqtrain.errors import ConfigError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.tasks.labelling.statistics import entity_f1
from seqtrain.tasks.labelling.task import LabelFrequencies, SequenceLabelling, entity_scores

Compose = Callable[..., Config]

NAMES = ["B-PER", "I-PER", "O"]
LENGTHS = [4, 1, 3]


class Model(nn.Module):
    """Stands for a model with features of this size."""

    output_size = 6


def task(names: list[str] = NAMES, label_smoothing: float = 0.0) -> SequenceLabelling:
    return SequenceLabelling(SequenceLabellingConfig(label_smoothing=label_smoothing), DataSpec(class_names=names))


def example(padding: int) -> tuple[Tensor, Batch]:
    """Features (3, 5, 6) and a batch whose padding holds a label, and features that are not numbers."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 5, 6, generator=generator)
    targets = torch.randint(3, (3, 5), generator=generator)
    for i, length in enumerate(LENGTHS):
        features[i, length:] = math.nan
        targets[i, length:] = padding
    lengths = torch.tensor(LENGTHS)
    return features, Batch(torch.zeros(3, 5, dtype=torch.long), targets, lengths, np.array([2, 0, 1]), sum(LENGTHS))


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_loss_and_scores_leave_padding_out(padding: int, label_smoothing: float) -> None:
    labelling = task(label_smoothing=label_smoothing)
    torch.manual_seed(1)
    head = labelling.build_head(Model())
    features, batch = example(padding)
    nats = smoothed = 0.0
    hits = perfect = 0
    for i, length in enumerate(LENGTHS):  # row by row, without padding
        logs = head(features[i, :length]).detach().log_softmax(-1)
        truth = batch.targets[i, :length]
        nats -= sum(float(logs[t, truth[t]]) for t in range(length))
        smoothed -= label_smoothing * float(logs.mean(-1).sum())
        right = (logs.argmax(-1) == truth).tolist()
        hits += sum(right)
        perfect += all(right)
    loss = labelling.loss(head, features, batch).detach()
    assert loss.item() == pytest.approx((1 - label_smoothing) * nats + smoothed, rel=1e-5)
    assert labelling.count(batch) == 8
    meter = labelling.meter(head)
    with torch.inference_mode():
        meter.update(batch, features)
    metrics = meter.result().metrics
    assert metrics["loss"] == pytest.approx(nats / 8, rel=1e-5)
    assert metrics["accuracy"] == hits / 8 and metrics["sequence_accuracy"] == perfect / 3
    assert 0 < hits < 8


def scores_of(names: list[str], predicted: list[list[str]], true: list[list[str]]) -> dict[str, float]:
    tags = EntityTags.of(names)
    assert tags is not None
    flat = [np.array([names.index(tag) for row in side for tag in row]) for side in (predicted, true)]
    return entity_scores(tags, flat[0], flat[1], np.array([len(row) for row in true]))[0]


def test_entity_scores_against_a_hand_worked_example() -> None:
    names = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
    true = ["B-PER I-PER O B-LOC", "B-LOC O O", "O O"]
    # Right: the first PER. Wrong: the type of the second, the end of the third, and one that is not there.
    predicted = ["B-PER I-PER O B-PER", "B-LOC I-LOC O", "I-LOC O"]
    rows = [[row.split() for row in side] for side in (predicted, true)]
    assert scores_of(names, rows[0], rows[1]) == {
        "entity_f1": pytest.approx(2 / 7),
        "entity_precision": 1 / 4,
        "entity_recall": pytest.approx(1 / 3),
    }
    # An entity does not go on into the next row; an I- of another type begins one; B- always does.
    begun = [["I-PER"], ["I-PER", "I-LOC", "B-LOC"]], [["B-PER"], ["B-PER", "B-LOC", "B-LOC"]]
    assert scores_of(names, *begun) == {"entity_f1": 1.0, "entity_precision": 1.0, "entity_recall": 1.0}
    assert set(scores_of(names, [["O"]], [["O"]]).values()) == {0.0}
    assert set(scores_of(names, [["O"]], [["B-PER"]]).values()) == {0.0}


@pytest.mark.parametrize("letters", ["BI", "I", "IE", "BIES", "BILU", "BMES"])
def test_entity_scores_are_those_of_seqeval(letters: str) -> None:
    """Bit for bit, of any labels, also those that break their scheme; seqeval has other letters for some schemes."""
    names = ["O", *(f"{letter}-{kind}" for letter in letters for kind in ("LOC", "a-b", "PER"))]
    tags = EntityTags.of(names)
    assert tags is not None
    translated = np.array([name[0].translate(str.maketrans("LUM", "ESI")) + name[1:] for name in names])
    rng = np.random.default_rng(0)
    for _ in range(20):
        lengths = rng.integers(1, 12, 15)
        true = rng.integers(len(names), size=lengths.sum())
        predicted = np.where(rng.random(len(true)) < 0.7, true, rng.integers(len(names), size=len(true)))
        sides = [
            [part.tolist() for part in np.split(translated[side], np.cumsum(lengths)[:-1])]
            for side in (true, predicted)
        ]
        scores, of_types = entity_scores(tags, predicted, true, lengths)
        precision, recall, f1, _ = precision_recall_fscore_support(*sides, average="micro", zero_division=0)
        assert scores == {"entity_f1": f1, "entity_precision": precision, "entity_recall": recall}
        every = precision_recall_fscore_support(*sides, average=None, zero_division=0)
        assert {name: tuple(part.values()) for name, part in of_types.items()} == {
            name: (f, p, r, n) for name, p, r, f, n in zip(["LOC", "PER", "a-b"], *every, strict=True)
        }
        outputs = {"predictions": predicted, "targets": true, "lengths": lengths}
        assert entity_f1(outputs, {"class_names": names}).value() == pytest.approx(f1, rel=1e-12)


def test_the_meter_scores_entities_of_real_steps_in_any_order_of_rows() -> None:
    truth = [[0, 1, 2, 2], [0], [2, 0, 1]]
    guess = [[0, 1, 2, 0], [0], [2, 0, 2]]
    expected = scores_of(NAMES, *([[NAMES[label] for label in row] for row in side] for side in (guess, truth)))
    assert expected["entity_precision"] == 2 / 4 and expected["entity_recall"] == 2 / 3
    labelling = task()
    for order in ([[0, 1, 2]], [[2], [0, 1]], [[1, 0], [2]]):
        meter = labelling.meter(nn.Identity())
        for rows in order:
            lengths = torch.tensor([len(truth[row]) for row in rows])
            targets = torch.zeros(len(rows), 4, dtype=torch.long)  # padding is B-PER, which must not count
            features = torch.zeros(len(rows), 4, 3)
            features[..., 0] = 1
            for i, row in enumerate(rows):
                targets[i, : lengths[i]] = torch.tensor(truth[row])
                features[i, : lengths[i]] = 9 * torch.eye(3)[guess[row]]
            meter.update(Batch(targets, targets, lengths, np.array(rows), int(lengths.sum())), features)
        result = meter.result()
        assert {name: result.metrics[name] for name in expected} == expected
        of_type = {name.removeprefix("entity_"): value for name, value in expected.items()} | {"support": 3}
        assert result.details == {"entities": {"PER": of_type}}
    plain = task(["a", "b", "c"]).meter(nn.Identity())
    logits, batch = example_logits()
    plain.update(batch, logits)
    assert set(plain.result().metrics) == {"loss", "accuracy", "sequence_accuracy"}


def example_logits() -> tuple[Tensor, Batch]:
    targets = torch.zeros(1, 2, dtype=torch.long)
    return torch.zeros(1, 2, 3), Batch(targets, targets, torch.tensor([2]), np.array([0]), 2)


TOKENS = [["Paris", "slept"], ["Paris", "slept"], ["Paris", "."], ["May"], ["May"]]
LABELS = [["B-LOC", "O"], ["B-PER", "O"], ["B-LOC", "O"], ["O"], ["B-PER"]]


def test_label_frequencies_by_hand() -> None:
    frequencies = LabelFrequencies(TOKENS, LABELS, ["B-LOC", "B-PER", "O"])
    p = frequencies.log_probabilities([["Paris", "slept", "May", "Rome"], ["Rome"]]).exp()
    assert p.shape == (2, 4, 3)
    prior = torch.tensor([3, 3, 5]) / 11  # two, two and four of eight steps, and one more of each
    torch.testing.assert_close(p[0, 0], (torch.tensor([2, 1, 0]) + prior).double() / 4)
    torch.testing.assert_close(p[0, 1], (torch.tensor([0, 0, 2]) + prior).double() / 3)
    torch.testing.assert_close(p[0, 3], prior.double())
    torch.testing.assert_close(p[1, 0], prior.double())
    torch.testing.assert_close(p.sum(-1)[0], torch.ones(4).double())
    assert p[0].argmax(-1).tolist() == [0, 2, 2, 2]  # "May" has each label once: the one that is more frequent overall


def columns(tokens: list[list[str]], labels: list[list[str]]) -> str:
    pairs = [zip(*row, strict=True) for row in zip(tokens, labels, strict=True)]
    return "\n".join("".join(f"{token} {label}\n" for token, label in row) for row in pairs)


def test_baseline_by_hand(composed: Compose, tmp_path: Path) -> None:
    (tmp_path / "train.conll").write_text(columns(TOKENS, LABELS))
    (tmp_path / "validation.conll").write_text(columns(TOKENS[:1], LABELS[:1]))
    (tmp_path / "test.conll").write_text("Rome B-LOC\n\nParis B-PER\nslept O\nRome O\n")  # the shorter row first
    data = build_data(composed("data=tagging_files", f"data.path={tmp_path}"))
    (name, table), *others = task(data.spec.class_names).baselines(data).items()
    assert name == "most frequent tag" and not others and set(table) == {"validation", "test"}
    assert table["validation"]["accuracy"] == table["validation"]["entity_f1"] == 1
    logs = [math.log(3 / 11), math.log((1 + 3 / 11) / 4), math.log((2 + 5 / 11) / 3), math.log(5 / 11)]
    assert table["test"]["loss"] == pytest.approx(-sum(logs) / 4, rel=1e-6)
    assert table["test"]["accuracy"] == 0.5  # predicted: O; B-LOC O O
    assert table["test"]["sequence_accuracy"] == table["test"]["entity_f1"] == 0


def test_generated_data_keep_their_known_scores(composed: Compose) -> None:
    data = build_data(composed("data=reverse", "data.num_eval=10"))
    table = task(data.spec.class_names).baselines(data)
    assert table == {"guessing": dict.fromkeys(("validation", "test"), dict(data.known_scores["guessing"]))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.conll (80 sentences) and test.conll (20), where the word before tells a place from a name."""
    path = tmp_path_factory.mktemp("tags")
    rng = np.random.default_rng(0)
    for split, count in (("train", 80), ("test", 20)):
        tokens: list[list[str]] = []
        labels: list[list[str]] = []
        for _ in range(count):
            name, place = rng.choice(["Sydney", "Florence", "Austin"], 2)
            filler = ["often"] * int(rng.integers(0, 6))
            tokens.append([*filler, "says", name, "Berg", "in", place])
            labels.append([*["O"] * (len(filler) + 1), "B-PER", "I-PER", "O", "B-LOC"])
        (path / f"{split}.conll").write_text(columns(tokens, labels))
    return path


@pytest.fixture(scope="module")
def tagging(composed: Compose, folder: Path) -> Compose:
    def composer(*overrides: str) -> Config:
        model = ["model=gru", "model.hidden_size=12", "model.embedding.embed_dim=12", "model.dropout=0"]
        trainer = ["trainer.epochs=6", "trainer.warmup_steps=3", "trainer.lr=0.02", "device=cpu"]
        data = ["data=tagging_files", f"data.path={folder}", "data.batch_size=8"]
        return composed(*model, *data, *trainer, "trainer.figures=false", *overrides)

    return composer


def test_train_evaluate_and_resume_agree(tagging: Compose, folder: Path, tmp_path: Path) -> None:
    config = tagging("trainer.schedule=constant")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    best = train(config, run)
    scores = read_json(run.results_path)["scores"]
    assert best == scores["gru"]["validation"]["loss"]
    assert evaluate(config, config, run) == scores["gru"]["test"]
    assert evaluate(config, config, run, split="validation") == scores["gru"]["validation"]
    assert scores["gru"]["test"]["entity_f1"] > 0.95 > scores["most frequent tag"]["test"]["entity_f1"]
    lines = run.metrics_path.read_text()
    assert '"val/entity_f1"' in lines and '"test/entity_recall"' in lines
    other = tagging("trainer.schedule=constant", "data.eval_batch_tokens=400")
    for name, value in evaluate(config, other, run).items():
        assert value == pytest.approx(scores["gru"]["test"][name], abs=1e-6), name
    other.data.path = str(folder / "test.conll")  # type: ignore[attr-defined]
    assert evaluate(config, other, run, other_data=True)["accuracy"] == scores["gru"]["test"]["accuracy"]
    with pytest.raises(ConfigError, match="data.lowercase: is fixed by the trained run"):
        evaluate(config, tagging("data.lowercase=false"), run)

    short = tagging("trainer.schedule=constant", "trainer.epochs=3")
    resumed = RunDirectory.claim(tmp_path / "short", exact=True)
    train(short, resumed)
    resume(short, config, resumed)
    assert read_json(resumed.results_path)["scores"] == scores


def test_a_run_does_not_go_on_with_other_tags(tagging: Compose, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    copy.mkdir()
    text = (folder / "train.conll").read_text()
    (copy / "train.conll").write_text(text)
    config = tagging(f"data.path={copy}", "trainer.max_steps=1")
    run = RunDirectory.claim(tmp_path / "run", exact=True)
    train(config, run)
    (copy / "train.conll").write_text(text.replace("often O", "often B-PER", 1))
    with pytest.raises(RunError, match="the data has changed since this run started"):
        resume(config, config, run)

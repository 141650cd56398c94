"""Language modelling end to end on a small text: scores, state, exactness, baselines, figures, samples."""

import json
import math
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from seqtrain.commands.build import Built, build_data, build_model
from seqtrain.commands.check_resume import first_difference
from seqtrain.commands.evaluate import evaluate as evaluate_run
from seqtrain.commands.generate import Generation, Sample, generate
from seqtrain.commands.predict import trained as trained_model
from seqtrain.commands.train import resume, train
from seqtrain.config.root import Config
from seqtrain.data.base import Batch
from seqtrain.data.corpus.dataset import RunningText
from seqtrain.errors import ConfigError, DataError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json
from seqtrain.tasks.language.generation import continuations
from seqtrain.tasks.language.predict import TextPredictor
from seqtrain.tasks.language.sampling import Sampling
from seqtrain.tasks.language.task import language_metrics, sample_text
from seqtrain.training.checkpoint import load_checkpoint
from seqtrain.training.device import seed_everything
from seqtrain.training.evaluation import evaluate
from seqtrain.training.trainer import Trainer
from tests.outputs import stored_outputs

Compose = Callable[..., Config]

SENTENCES = [
    "the cat sat on the mat .",
    "a dog , old and grey , slept .",
    "who goes there ?",
    "the sun rose over the sea .",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train, validation and test of short sentences, a document after each 40 lines."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for split, lines in (("train", 600), ("valid", 120), ("test", 120)):
        text = [SENTENCES[i] if n % 40 else "= title =" for n, i in enumerate(rng.integers(0, 4, lines))]
        text += ["an owl !"] if split == "valid" else []  # words that train lacks
        (folder / f"{split}.txt").write_text("\n".join(text) + "\n")
    return folder


@pytest.fixture(scope="module")
def language(composed: Compose, corpus: Path) -> Compose:
    """A small language model's configuration; overrides may change all of it."""

    def composer(*overrides: str) -> Config:
        model = ["model=lstm", "model.hidden_size=12", "model.embedding.embed_dim=8", "model.dropout=0.1"]
        if any("self_attn" in override for override in overrides):
            model.remove("model.hidden_size=12")
        data = ["data=text_corpus", f"data.path={corpus}", "data.tokenizer=word", "data.batch_size=4"]
        data += ["data.bptt_len=10", "data.document_start='= .* ='", "data.eval_warmup=60"]
        trainer = ["trainer.epochs=2", "trainer.warmup_steps=5", "trainer.lr=0.01", "device=cpu"]
        return composed(
            *model,
            *data,
            *trainer,
            "trainer.figures=false",
            "trainer.baselines=false",
            "trainer.probe=false",
            *overrides,
        )

    return composer


@pytest.fixture(scope="module")
def trained(language: Compose, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, RunDirectory]:
    """A run on words."""
    config = language("trainer.figures=true", "trainer.baselines=true", "trainer.probe=true", "task.sample_length=12")
    run = RunDirectory.claim(tmp_path_factory.mktemp("runs") / "words", exact=True)
    train(config, run)
    return config, run


def build(config: Config) -> tuple[RunningText, Built]:
    seed_everything(0)
    data = build_data(config)
    built = build_model(config, data.spec)
    return cast(RunningText, data), built


def score(built: Built, data: RunningText, split: str = "validation") -> Any:
    batches = data.eval_batches(split)
    return evaluate(built.model, built.head, built.task, batches, built.device, Config().trainer.precision)


def one_pass(built: Built, tokens: np.ndarray) -> Tensor:
    """Log-probabilities of every next token, (N - 1, V), of one row read in one go."""
    inputs = torch.from_numpy(np.array(tokens[None, :-1], dtype=np.int64))
    batch = Batch(inputs, inputs, torch.tensor([inputs.shape[1]]), np.arange(1), inputs.shape[1])
    built.model.eval()
    with torch.no_grad():
        return built.head(built.model(batch)[0])[0].double().log_softmax(-1)


MODELS = [
    "model=lstm model.num_layers=2",
    "model=gru_attn model.context_length=7",
    "model=self_attn model.context_length=9 model.feed_forward_size=16",
    "model=lstm task.softmax=adaptive task.cutoffs=[4,9]",
    "model=gru task.tie_weights=false task.projection_size=5",
]


@pytest.mark.parametrize("options", MODELS)
def test_scores_are_those_of_one_pass(language: Compose, options: str) -> None:
    """Whatever the rows, once the warmup covers what the model looks back to; metrics from their definitions."""
    config = language(*options.split(), "data.eval_warmup=2000", "data.eval_batch_size=1")
    data, built = build(config)
    tokens = np.asarray(data.tokens["validation"])
    logs = one_pass(built, tokens)
    targets = torch.from_numpy(np.array(tokens[1:], dtype=np.int64))
    truth = logs.gather(1, targets[:, None]).squeeze(1)
    rank = (logs > truth[:, None]).sum(-1)
    loss = -truth.mean().item()
    text = data.decode(tokens.tolist())
    for rows in (1, 8, 64):
        data.config.eval_batch_size = rows
        result = score(built, data)
        np.testing.assert_allclose(result.outputs["log_probabilities"], truth, atol=1e-5)
        metrics = result.metrics
        assert metrics["loss"] == pytest.approx(loss, rel=1e-6)
        assert metrics["perplexity"] == pytest.approx(math.exp(loss), rel=1e-6)
        assert metrics["accuracy"] == pytest.approx((rank == 0).double().mean().item(), abs=1e-3)
        assert metrics["top5_accuracy"] == pytest.approx((rank < 5).double().mean().item(), abs=1e-3)
        letters = len(text) - len(text.split(maxsplit=1)[0]) - 1  # the first word is not scored
        nats = -truth.sum().item()
        assert metrics["bits_per_character"] == pytest.approx(nats / math.log(2) / letters, rel=1e-2)
        places = np.bincount(np.arange(len(truth)) % 10, -truth.numpy(), minlength=10)
        np.testing.assert_allclose(result.sums["by_position"][0], places, rtol=1e-4)
        confidence, hits, counts = result.sums["by_confidence"]
        assert counts.sum() == len(truth) and hits.sum() == (rank == 0).sum()
        assert confidence.sum() == pytest.approx(logs.amax(-1).exp().sum().item(), rel=1e-4)


@pytest.mark.parametrize("rows", [1, 8, 64])
def test_a_trained_model_scores_alike_in_rows_of_any_number(trained: tuple[Config, RunDirectory], rows: int) -> None:
    """With a warmup that is shorter than the text: to 1e-4, relative."""
    config, run = trained
    data, built = build(config)
    saved = load_checkpoint(run.checkpoint_path("best"), run.id)
    built.model.load_state_dict(saved["model"])
    built.head.load_state_dict(saved["head"])
    data.config.eval_batch_size = rows
    reported = read_json(run.results_path)["scores"]["lstm"]["validation"]
    assert score(built, data).metrics["perplexity"] == pytest.approx(reported["perplexity"], rel=1e-4)


def test_policies_of_the_state_differ_and_are_named(language: Compose) -> None:
    losses = {}
    for policy in ("carry", "reset_document", "reset_batch"):
        data, built = build(language(f"data.state={policy}"))
        losses[policy] = score(built, data).metrics["loss"]
        assert data.scoring
    assert len(set(losses.values())) == 3


@pytest.mark.parametrize(
    "options",
    [
        "model.num_layers=2 model.weight_drop=0.3 model.embedding.word_dropout=0.1 model.locked_dropout=true "
        "model.activation_penalty=2 model.change_penalty=1 data.bptt_jitter=true",
        "model=gru_attn model.context_length=12 data.state=reset_document",
        "model=self_attn model.context_length=16 model.feed_forward_size=16 trainer.average=ema",
        "trainer.optimizer=sgd trainer.lr=1 trainer.schedule=constant trainer.average=nt_asgd "
        "trainer.nonmonotone_interval=1",
    ],
)
def test_resumed_in_the_middle_of_an_epoch_equals_uninterrupted(
    language: Compose, tmp_path: Path, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: weights, averages and the carried state."""
    config = language(*options.split(), "trainer.max_steps=60", "trainer.eval_every=7", "trainer.log_every=3")
    whole = RunDirectory.claim(tmp_path / "whole", exact=True)
    train(config, whole)
    stopped = RunDirectory.claim(tmp_path / "stopped", exact=True)
    original = Trainer.train_step

    def fail_at_33(self: Trainer, group: Any) -> None:
        if self.progress.step == 33:
            raise KeyboardInterrupt
        original(self, group)

    monkeypatch.setattr(Trainer, "train_step", fail_at_33)
    with pytest.raises(KeyboardInterrupt):
        train(config, stopped)
    assert load_checkpoint(stopped.checkpoint_path("last"), stopped.id)["step"] == 28
    monkeypatch.setattr(Trainer, "train_step", original)
    resume(config, config, stopped)
    ends = [load_checkpoint(run.checkpoint_path("last"), run.id) for run in (whole, stopped)]
    assert first_difference(ends[0], ends[1], "last.pt") is None
    assert ends[0]["ranks"][0]["state"] is not None and ends[0]["batch_index"] == ends[1]["batch_index"] > 0


def test_a_run_is_whole(trained: tuple[Config, RunDirectory], corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, run = trained
    results = read_json(run.results_path)
    scores = results["scores"]
    assert results["scoring"] == "state carried over the whole text"
    vocabulary = read_json(run.data_path)["spec"]["vocab_size"]
    assert scores["uniform"]["test"]["loss"] == pytest.approx(math.log(vocabulary))
    names = ["lstm", "uniform", "unigram", "Kneser-Ney 5-gram"]
    assert list(scores) == names and all(list(s) == ["validation", "test"] for s in scores.values())
    assert scores["Kneser-Ney 5-gram"]["test"]["loss"] < scores["unigram"]["test"]["loss"]
    assert scores["lstm"]["test"]["loss"] < scores["unigram"]["test"]["loss"]
    ratios = {s["test"]["bits_per_character"] / s["test"]["loss"] for s in scores.values()}
    assert max(ratios) == pytest.approx(min(ratios))  # all are scored on the same tokens
    capsys.readouterr()
    assert evaluate_run(config, config, run, split="test") == scores["lstm"]["test"]
    assert json.loads(capsys.readouterr().out)["scoring"] == results["scoring"]
    stored = stored_outputs(run.predictions_path)
    assert -stored["log_probabilities"].mean() == pytest.approx(scores["lstm"]["test"]["loss"], rel=1e-5)
    np.testing.assert_array_equal(stored["rows"], np.arange(1, len(stored["rows"]) + 1))


def test_tokens_of_a_new_text(trained: tuple[Config, RunDirectory], tmp_path: Path) -> None:
    config, run = trained
    text = tmp_path / "new.txt"
    text.write_text("the dog sat on a zebra\nwho slept")
    predictor = TextPredictor(trained_model(config, run, "best")[0])
    table = predictor.table(str(text)).to_pydict()
    words = ["the", "dog", "sat", "on", "a", "<unk>", "<eos>", "who", "slept", "<eos>"]
    assert table["token"] == words and table["log_probability"][0] is None
    data, built = build(config)
    saved = load_checkpoint(run.checkpoint_path("best"), run.id)
    built.model.load_state_dict(saved["model"])
    built.head.load_state_dict(saved["head"])
    tokens = data.tokenizer.encode(text.read_text() + "\n")
    expected = one_pass(built, tokens).gather(1, torch.from_numpy(tokens[1:])[:, None]).squeeze(1)
    np.testing.assert_allclose(table["log_probability"][1:], expected, rtol=1e-4)
    with pytest.raises(DataError, match="input=.*missing.txt: no such file"):
        predictor.table(str(tmp_path / "missing.txt"))
    (result,) = predictor.predict([text.read_text() + "\n"])
    assert result.tokens == words and result.perplexity == pytest.approx(math.exp(-np.mean(result.log_probabilities)))
    np.testing.assert_allclose(result.log_probabilities, expected, rtol=1e-4)
    with pytest.raises(DataError, match="text 0 has 1 token"):
        predictor.predict(["the"])
    with pytest.raises(TypeError, match="give .text."):
        predictor.predict("the dog")


def test_greedy_generation_is_the_argmax_of_one_pass(language: Compose) -> None:
    for options in MODELS:
        data, built = build(language(*options.split()))
        for parameter in built.head.parameters():
            torch.nn.init.normal_(parameter, std=0.5)  # so that the choice is not always the same
        prompt = torch.from_numpy(np.array(data.tokens["test"][:9], dtype=np.int64))[None]
        built.model.eval()
        steps = continuations(built.model, built.head, prompt, Sampling(greedy=True))
        text = torch.cat([prompt[0], *islice(steps, 30)])
        logs = one_pass(built, text.numpy())
        assert torch.equal(logs.argmax(-1)[8:], text[9:]), options


def test_state_of_generation_does_not_grow(language: Compose) -> None:
    """A step reads one token and a state of a size that is bounded: time linear in length."""
    data, built = build(language("model=gru_attn", "model.context_length=7"))
    built.model.eval()
    inputs, sizes = [], []

    def watch(module: Any, arguments: Any, output: Any) -> None:
        inputs.append(arguments[0].inputs.shape[1])
        sizes.append({name: part.numel() for name, part in output[1].items() if isinstance(part, Tensor)})

    hook = built.model.register_forward_hook(watch)
    steps = continuations(built.model, built.head, torch.zeros(1, 3, dtype=torch.long), Sampling())
    for _ in islice(steps, 40):
        pass
    hook.remove()
    assert inputs == [3] + [1] * 39 and sizes[10:] == [sizes[10]] * len(sizes[10:])


def test_generate(trained: tuple[Config, RunDirectory], capsys: pytest.CaptureFixture[str]) -> None:
    config, run = trained
    wanted = Generation(prompt="the cat", max_tokens=30, num_samples=3, seed=5)
    samples = generate(config, run, wanted)
    assert capsys.readouterr().out == "\n---\n".join("the cat" + sample for sample in samples) + "\n"
    assert len(set(samples)) > 1 and generate(config, run, wanted) == samples
    assert all(sample.startswith((" ", "\n")) for sample in samples)
    (alone,) = generate(config, run, Generation(prompt="the cat", max_tokens=30, sampling=Sampling(greedy=True)))
    assert generate(config, run, Generation(prompt="the cat", max_tokens=30, beam_size=1)) == [alone]
    capsys.readouterr()
    best = generate(config, run, Generation(prompt="the cat", max_tokens=9, beam_size=4, num_samples=2))
    assert capsys.readouterr().out == "\n---\n".join("the cat" + text for text in best) + "\n"
    capsys.readouterr()
    (streamed,) = generate(
        config, run, Generation(prompt="the cat", max_tokens=30, stream=True, sampling=Sampling(greedy=True))
    )
    assert streamed == alone and capsys.readouterr().out == f"the cat{alone}\n"
    greedy = Sampling(greedy=True)
    (stopped,) = generate(config, run, Generation(prompt="the cat", max_tokens=30, stop=[alone[9:12]], sampling=greedy))
    assert alone.startswith(stopped) and alone[9:12] not in stopped


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Generation(prompt="xylophone zebra"), "no part of it is in the run.s vocabulary|not in the vocabulary"),
        (Generation(prompt=" "), "contains no token"),
        (Generation(prompt=""), "prompt=''"),
        (Generation(seed=-1), "seed=-1: must be in"),
        (Generation(max_tokens=0), "max_tokens=0: must be at least 1"),
        (Generation(num_samples=2, stream=True), "stream=True: must be false if num_samples is above 1"),
        (Generation(sampling=Sampling(temperature=0)), "temperature=0: must be above 0"),
        (Generation(sampling=Sampling(top_p=1.5)), r"top_p=1\.5: must be in \(0, 1\]"),
        (Generation(stop=["a", ""]), "stop="),
    ],
)
def test_wrong_wishes(trained: tuple[Config, RunDirectory], wanted: Generation, message: str) -> None:
    config, run = trained
    with pytest.raises(ConfigError, match=message):
        generate(config, run, wanted)


def test_generate_is_for_language_models(small: Compose, tmp_path: Path) -> None:
    run = RunDirectory.claim(tmp_path / "classifier", exact=True)
    with pytest.raises(RunError, match="generate is for language models, and its task is classification"):
        generate(small(), run, Generation())


def test_unknown_words_of_a_prompt(
    language: Compose, corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = language("data.min_count=200", "trainer.max_steps=2")
    run = RunDirectory.claim(tmp_path / "unk", exact=True)
    train(config, run)
    with caplog.at_level("INFO"):
        generate(config, run, Generation(prompt="the 'zebra', and", max_tokens=2))
    assert "prompt: \"'zebra',\", 'and' not in the vocabulary, read as <unk>" in caplog.text
    with pytest.raises(ConfigError, match="no part of it is in the run.s vocabulary"):
        generate(config, run, Generation(prompt="zebra zebra"))


def test_a_sample_shows_whole_characters_only(tmp_path: Path) -> None:
    from seqtrain.data.corpus.tokenizers import ByteTokenizer

    tokenizer = ByteTokenizer()
    text = "aé€🙂b"
    sample = Sample(tokenizer, tokenizer.encode("x").tolist(), [])
    pieces = [sample.add(token) for token in tokenizer.encode(text).tolist()]
    assert "".join(pieces) + sample.end() == text == sample.text
    assert [piece for piece in pieces if piece] == list(text)
    broken = Sample(tokenizer, [120], [])
    shown = "".join(broken.add(token) for token in [0xE2, 0x82])
    assert shown == "" and broken.end() == "\ufffd"


def test_figures_and_samples(trained: tuple[Config, RunDirectory]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, run = trained
    events = EventAccumulator(str(run.path))
    events.Reload()
    tags = events.Tags()
    assert {"3_probe/gradient_by_lag", "1_val/loss_by_position", "1_val/calibration"} <= set(tags["images"])
    texts = [tag for tag in tags["tensors"] if "sample/" in tag]
    assert len(texts) == 4
    content = events.Tensors(texts[0])[-1].tensor_proto.string_val[0].decode()
    assert content.startswith("**prompt**") and "**sample, temperature 0.8**" in content
    marked = [tag for tag in tags["tensors"] if "loss_of_tokens/" in tag]
    content = events.Tensors(marked[0])[-1].tensor_proto.string_val[0].decode()
    assert len(marked) == 4 and content.startswith("mean loss ") and "| token | loss |" in content


def test_metrics_of_a_known_text() -> None:
    metrics = language_metrics(nats=math.log(2) * 30, tokens=10, characters=20, num_bytes=24)
    assert metrics == pytest.approx(
        {"loss": math.log(8), "perplexity": 8.0, "bits_per_character": 1.5, "bits_per_byte": 1.25}
    )
    assert "bits_per_character" not in language_metrics(1.0, 1, 0, 0)
    assert language_metrics(1e6, 1, 0, 0)["perplexity"] < math.inf


def test_a_sampled_softmax_learns_what_a_full_one_learns(language: Compose, tmp_path: Path) -> None:
    """Pairs of words, of which the second follows from the first. Untrained, the loss is log 120 = 4.8 nats."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4000), ("valid", 300)):
        first = rng.integers(0, 60, count) // (1 + rng.integers(0, 5, count))  # some words are more frequent
        (tmp_path / f"{split}.txt").write_text("".join(f"a{i} b{i} " for i in first))
    losses = {}
    for softmax in ("full", "sampled"):
        config = language(f"data.path={tmp_path}", "data.test_size=0", "data.document_start=null", "trainer.lr=0.05",
                          "data.bptt_len=20", f"task.softmax={softmax}", "task.num_sampled=40")  # fmt: skip
        run = RunDirectory.claim(tmp_path / softmax, exact=True)
        train(config, run)
        losses[softmax] = read_json(run.results_path)["scores"]["lstm"]["validation"]["loss"]
    assert losses["full"] < 2.5 and losses["sampled"] < losses["full"] + 0.2


def test_sample_text_cannot_leave_its_fence() -> None:
    assert "\n~~~~~~~~\n" in sample_text("~~~~~ x", "y")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("task.softmax=adaptive task.cutoffs=[5,9000]", r"task\.cutoffs=\[5, 9000\]: must lie below"),
        ("task.softmax=adaptive data.tokenizer=byte", r"task\.softmax=adaptive: needs tokens numbered"),
        ("task.softmax=sampled data.tokenizer=byte", r"task\.softmax=sampled: needs tokens numbered"),
        (
            "task.softmax=sampled task.num_sampled=32",
            r"task\.num_sampled=32: must lie below .* or use task\.softmax=full",
        ),
        ("task.softmax=sampled task.num_sampled=31", r"task\.num_sampled=31: must be at least 32"),
        ("task.projection_size=3", r"task\.projection_size=3: must be model\.embedding\.embed_dim \(8\)"),
    ],
)
def test_heads_that_cannot_be(language: Compose, options: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(language(*options.split()))

"""Continue texts with a trained language model."""

import logging
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import torch

from seqtrain.commands.build import Built, load_trained
from seqtrain.config.base import require
from seqtrain.config.root import Config
from seqtrain.data.corpus.tokenizers import CorpusTokenizer, load_tokenizer
from seqtrain.errors import ConfigError, RunError
from seqtrain.run_directory import RunDirectory
from seqtrain.tasks.language.generation import continuations
from seqtrain.tasks.language.sampling import Sampling, StopStrings
from seqtrain.tasks.language.task import LanguageModelling

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

SHOWN_UNKNOWNS = 10
LONGEST_SPLIT = 8  # tokens that a single character can be cut into, at the most, before it is shown as it is


@dataclass(frozen=True)
class Generation:
    """What to generate."""

    prompt: str | None = None
    """Text to go on from; None begins as after a line's end."""
    max_tokens: int = 200
    """Length of a sample (tokens)."""
    num_samples: int = 1
    """Samples, drawn side by side."""
    seed: int = 0
    """Seed of the draws."""
    stop: list[str] = field(default_factory=list)
    """A sample ends before the first of these."""
    stream: bool = False
    """Print as the sample grows."""
    sampling: Sampling = field(default_factory=Sampling)
    """How tokens are chosen."""

    def check(self) -> None:
        """Raise ConfigError where a value leaves its range."""
        self.sampling.check()
        require(self.max_tokens >= 1, "max_tokens", self.max_tokens, "at least 1")
        require(self.num_samples >= 1, "num_samples", self.num_samples, "at least 1")
        require(not self.stream or self.num_samples == 1, "stream", True, "false where num_samples is above 1")
        require(self.prompt != "", "prompt", "", "a text; leave it out to begin as after a line's end")
        StopStrings(self.stop)


def generate(config: Config, run: RunDirectory, wanted: Generation, *, checkpoint: str = "best") -> list[str]:
    """Continue a text with a run's model, and print the samples, prompt included.

    Args:
        config: the run's configuration, with changes of the device.
        run: the run's directory.
        wanted: what to generate.
        checkpoint: ``best`` or ``last``.

    Returns:
        The samples, without the prompt.

    Raises:
        RunError: if the run's model is no language model.
        ConfigError: if the vocabulary has nothing of the prompt.
    """
    wanted.check()
    built, tokenizer = load_language_model(config, run, checkpoint, "generate")
    given = wanted.prompt or ""
    prompt = encode_prompt(tokenizer, given) if given else beginning(tokenizer)
    built.model.eval()
    built.head.eval()
    started = time.monotonic()
    generator = torch.Generator(built.device).manual_seed(wanted.seed)
    prompts = torch.tensor([prompt] * wanted.num_samples, device=built.device)
    steps = continuations(built.model, built.head, prompts, wanted.sampling, generator)
    samples = [Sample(tokenizer, prompt, wanted.stop) for _ in range(wanted.num_samples)]
    if wanted.stream:
        print(given, end="", flush=True)
    for tokens in islice(steps, wanted.max_tokens):
        for sample, token in zip(samples, tokens.tolist(), strict=True):
            piece = sample.add(token)
            if wanted.stream:
                print(piece, end="", flush=True)
        if all(sample.finished for sample in samples):
            break
    for sample in samples:
        rest = sample.end()
        if wanted.stream:
            print(rest)
    seconds = time.monotonic() - started
    if not wanted.stream:
        print("\n---\n".join(given + sample.text for sample in samples))
    total = sum(sample.num_tokens for sample in samples)
    log.info("%d tokens in %.2f s (%.0f tokens/s)", total, seconds, total / seconds)
    return [sample.text for sample in samples]


class Sample:
    """A text that grows token by token, shown as far as its characters are whole and no stop string can begin.

    Args:
        tokenizer: to decode with.
        prompt: tokens before.
        stop: the text ends before the first of these.
    """

    def __init__(self, tokenizer: CorpusTokenizer, prompt: list[int], stop: list[str]):
        self.tokenizer = tokenizer
        self.shown, self.pending = prompt[-LONGEST_SPLIT:], list[int]()
        self.stop = StopStrings(stop)
        self.text = ""
        self.num_tokens = 0

    @property
    def finished(self) -> bool:
        """Whether a stop string was found."""
        return self.stop.stopped

    def add(self, token: int) -> str:
        """Take a token, and return the text that can be shown now."""
        if self.finished:
            return ""
        self.num_tokens += 1
        self.pending.append(token)
        # Blanks between words, and characters of several tokens, show only beside the tokens before.
        before = self.tokenizer.decode(self.shown)
        piece = self.tokenizer.decode(self.shown + self.pending)[len(before) :]
        if piece.endswith("\ufffd") and len(self.pending) < LONGEST_SPLIT:
            return ""
        self.shown, self.pending = self.pending, []
        return self.take(self.stop.feed(piece))

    def end(self) -> str:
        """Return the rest of the text: no token follows."""
        before = self.tokenizer.decode(self.shown)
        rest = self.stop.feed(self.tokenizer.decode(self.shown + self.pending)[len(before) :])
        return self.take(rest + self.stop.flush())

    def take(self, piece: str) -> str:
        """Add a piece to the text."""
        self.text += piece
        return piece


def load_language_model(
    config: Config, run: RunDirectory, checkpoint: str, command: str
) -> tuple[Built, CorpusTokenizer]:
    """Model and tokenizer of a run; raises RunError, in the words of ``command``, if it is no language model."""
    if config.task.kind != "language_modelling":
        raise RunError(f"run={run.path}: {command} is for language models, and its task is {config.task.name}")
    built, _ = load_trained(config, run, checkpoint)
    assert isinstance(built.task, LanguageModelling)
    return built, load_tokenizer(run.tokenizer_path)


def encode_prompt(tokenizer: CorpusTokenizer, prompt: str) -> list[int]:
    """Tokens of a prompt; what the vocabulary lacks is reported and read as <unk>.

    Raises:
        ConfigError: if the vocabulary has no <unk>, or nothing of the prompt.
    """
    unknown = tokenizer.unknown_parts(prompt)
    if unknown:
        listed = ", ".join(map(repr, unknown[:SHOWN_UNKNOWNS])) + (", ..." if len(unknown) > SHOWN_UNKNOWNS else "")
        if tokenizer.unknown is None:
            raise ConfigError(f"prompt: {listed} not in the vocabulary, which has no <unk>; leave it out")
        log.info("prompt: %s not in the vocabulary, read as <unk>", listed)
    tokens = tokenizer.encode(prompt).tolist()
    if not tokens:
        raise ConfigError(f"prompt={prompt!r}: holds no token of the vocabulary; give at least one word")
    if unknown and all(token == tokenizer.unknown for token in tokens):
        raise ConfigError(f"prompt={prompt!r}: nothing of it is in the vocabulary of the run; use its words")
    return tokens


def beginning(tokenizer: CorpusTokenizer) -> list[int]:
    """What stands for no prompt: a line's end or, in a text that has none, the vocabulary's first token."""
    return [0] if tokenizer.unknown_parts("\n") else tokenizer.encode("\n").tolist()

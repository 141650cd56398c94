"""Continue texts with a trained language model."""

import logging
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqtrain.commands.build import Built, load_trained
from seqtrain.config.base import require
from seqtrain.config.corpus import DocumentsConfig, SegmentConfig, StatePolicy
from seqtrain.config.root import Config
from seqtrain.data.corpus.loading import load_run_tokenizer
from seqtrain.data.corpus.tokenizers import CorpusTokenizer
from seqtrain.errors import ConfigError, RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.tasks.language.beam import most_probable
from seqtrain.tasks.language.generation import continuations
from seqtrain.tasks.language.sampling import Sampling, StopStrings
from seqtrain.tasks.language.task import LanguageModelling

log = logging.getLogger(__name__)

SHOWN_UNKNOWNS = 10
MOST_SAMPLES = 1_000_000  # in parallel
MOST_HYPOTHESES = 10_000
LONGEST_SPLIT = 8  # the most tokens that one character can be split into; after that an incomplete character is shown


@dataclass(frozen=True)
class Generation:
    """Options of text generation."""

    prompt: str | None = None
    """Text to continue; None starts at the beginning of a line, or of a document."""
    max_tokens: int = 200
    """Largest length of a sample (tokens)."""
    num_samples: int = 1
    """Number of samples, which are generated in parallel."""
    seed: int = 0
    """Seed of the random draws."""
    stop: list[str] = field(default_factory=list)
    """Stop strings; a sample ends before the first of them."""
    stream: bool = False
    """Print the sample while it is generated."""
    sampling: Sampling = field(default_factory=Sampling)
    """How the next token is chosen."""
    beam_size: int | None = None
    """Search for the most probable text with this number of hypotheses, instead of drawing; None: no search."""
    length_penalty: float | None = None
    """Exponent of the length in the normalisation of a hypothesis's log-probability; None: 1."""

    def check(self) -> None:
        """Raise ConfigError if a value is out of range."""
        self.sampling.check()
        require(self.max_tokens >= 1, "max_tokens", self.max_tokens, "at least 1")
        require(1 <= self.num_samples <= MOST_SAMPLES, "num_samples", self.num_samples, f"from 1 to {MOST_SAMPLES}")
        require(0 <= self.seed < 2**63, "seed", self.seed, "in [0, 2**63)")
        require(not self.stream or self.num_samples == 1, "stream", True, "false if num_samples is above 1")
        require(self.prompt != "", "prompt", "", "a text; remove it to start at the beginning of a line")
        StopStrings(self.stop)
        if self.beam_size is None:
            require(self.length_penalty is None, "length_penalty", self.length_penalty,
                    "left out without beam_size, which it is for")  # fmt: skip
            return
        require(1 <= self.beam_size <= MOST_HYPOTHESES, "beam_size", self.beam_size, f"from 1 to {MOST_HYPOTHESES}")
        require(self.num_samples <= self.beam_size, "num_samples", self.num_samples,
                f"at most beam_size={self.beam_size}; they are the best that were found")  # fmt: skip
        require(0 <= (self.length_penalty or 0) < 100, "length_penalty", self.length_penalty, "in [0, 100)")
        require(not self.stream, "stream", True, "false with beam_size: the text is known at the end of the search")
        for name, value in vars(self.sampling).items():
            require(value == getattr(Sampling, name), name, value, "left out with beam_size, which draws no tokens")


def generate(config: Config, run: RunDirectory, wanted: Generation, *, checkpoint: str = "best") -> list[str]:
    """Continue a text with a run's model, and print the samples, prompt included.

    Args:
        config: the run's configuration, perhaps with another device.
        run: the run's directory.
        wanted: options of the generation.
        checkpoint: ``best`` or ``last``.

    Returns:
        The samples, without the prompt.

    Raises:
        RunError: if the run's model is not a language model.
        ConfigError: if no part of the prompt is in the vocabulary.
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
    apart = not given and tokenizer.end is not None and cast(SegmentConfig, config.data).state is not StatePolicy.carry
    samples = [Sample(tokenizer, prompt, wanted.stop) for _ in range(wanted.num_samples)]
    steps = tokens_of(built, prompts, wanted, generator, tokenizer.end, apart)
    if wanted.stream:
        print(given, end="", flush=True)
    with closing(steps):  # a generator with a context of torch must not outlive it
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


def tokens_of(
    built: Built, prompts: Tensor, wanted: Generation, generator: torch.Generator, end: int | None, apart: bool
) -> Generator[Tensor]:
    """The tokens of all samples, step by step, (num_samples,): drawn, or those that a beam search has found.

    Args:
        built: model and head, in evaluation mode.
        prompts: tokens of the prompt, (num_samples, T).
        wanted: options of the generation.
        generator: source of the draws.
        end: token that ends a document; None if there is none.
        apart: the state starts from zero after the prompt.
    """
    if wanted.beam_size is None:
        yield from continuations(built.model, built.head, prompts, wanted.sampling, generator, apart=apart)
        return
    penalty = 1.0 if wanted.length_penalty is None else wanted.length_penalty
    found = most_probable(
        built.model, built.head, prompts[:1], beam_size=wanted.beam_size, length=wanted.max_tokens,
        length_penalty=penalty, end=end, apart=apart,
    )  # fmt: skip
    rows = [torch.tensor(each.tokens) for each in found[: wanted.num_samples]]
    yield from pad_sequence(rows, padding_value=0 if end is None else end).unbind(0)


class Sample:
    """A text that grows token by token. Text is returned once its characters are complete and no stop string can start.

    It ends before a stop string, and at the end of a document.

    Args:
        tokenizer: decodes the tokens.
        prompt: tokens before the text.
        stop: stop strings; the text ends before the first of them.
    """

    def __init__(self, tokenizer: CorpusTokenizer, prompt: list[int], stop: list[str]):
        self.tokenizer = tokenizer
        self.shown, self.pending = prompt[-LONGEST_SPLIT:], list[int]()
        self.stop = StopStrings(stop)
        self.text = ""
        self.num_tokens = 0
        self.ended = False

    @property
    def finished(self) -> bool:
        """Whether a stop string was found, or the document has ended."""
        return self.ended or self.stop.stopped

    def add(self, token: int) -> str:
        """Add a token, and return the text that can be shown now."""
        if self.finished:
            return ""
        self.num_tokens += 1
        if token == self.tokenizer.end:
            self.ended = True
            return ""
        self.pending.append(token)
        # Spaces between words and characters of several tokens decode correctly only after the preceding tokens.
        before = self.tokenizer.decode(self.shown)
        piece = self.tokenizer.decode(self.shown + self.pending)[len(before) :]
        if piece.endswith("\ufffd") and len(self.pending) < LONGEST_SPLIT:
            return ""
        self.shown, self.pending = self.pending, []
        return self.take(self.stop.feed(piece))

    def end(self) -> str:
        """Return the rest of the text, after the last token."""
        before = self.tokenizer.decode(self.shown)
        rest = self.stop.feed(self.tokenizer.decode(self.shown + self.pending)[len(before) :])
        return self.take(rest + self.stop.flush())

    def take(self, piece: str) -> str:
        """Add a piece to the text, and return it."""
        self.text += piece
        return piece


def load_language_model(
    config: Config, run: RunDirectory, checkpoint: str, command: str
) -> tuple[Built, CorpusTokenizer]:
    """Model and tokenizer of a run; raises RunError, which names ``command``, if it is not a language model."""
    if config.task.kind != "language_modelling":
        raise RunError(f"run={run.path}: {command} is for language models, and its task is {config.task.name}")
    if isinstance(config.data, DocumentsConfig) and config.data.reverse:
        raise RunError(
            f"run={run.path}: {command} continues a text at its end, and this model reads texts backwards "
            "(data.reverse=true); train one with data.reverse=false"
        )
    built, _ = load_trained(config, run, checkpoint)
    assert isinstance(built.task, LanguageModelling)
    return built, load_run_tokenizer(run.tokenizer_path)


def encode_prompt(tokenizer: CorpusTokenizer, prompt: str) -> list[int]:
    """Tokens of a prompt; parts that are not in the vocabulary are logged and read as <unk>.

    Raises:
        ConfigError: if the vocabulary has no <unk>, or no part of the prompt is in it.
    """
    unknown = tokenizer.unknown_parts(prompt)
    if unknown:
        listed = ", ".join(map(repr, unknown[:SHOWN_UNKNOWNS])) + (", ..." if len(unknown) > SHOWN_UNKNOWNS else "")
        if tokenizer.unknown is None:
            raise ConfigError(f"prompt: {listed} not in the vocabulary, which has no <unk>; remove it")
        log.info("prompt: %s not in the vocabulary, read as <unk>", listed)
    tokens = tokenizer.encode(prompt).tolist()
    if not tokens:
        raise ConfigError(f"prompt={prompt!r}: contains no token of the vocabulary; give at least one word")
    if unknown and all(token == tokenizer.unknown for token in tokens):
        raise ConfigError(
            f"prompt={prompt!r}: no part of it is in the run's vocabulary; use words of the training text"
        )
    return tokens


def beginning(tokenizer: CorpusTokenizer) -> list[int]:
    """Tokens to start from without a prompt: <end>, a line end or, if the vocabulary has neither, its first token."""
    if tokenizer.end is not None:
        return [tokenizer.end]
    return [0] if tokenizer.unknown_parts("\n") else tokenizer.encode("\n").tolist()

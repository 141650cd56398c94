"""The runs that a new run starts from: opened and checked before any data is read."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from seqtrain.commands.sources import Source, as_typed, open_source
from seqtrain.commands.taken import find_in_model
from seqtrain.config import registry
from seqtrain.config.root import Config, InitTakes
from seqtrain.data.run_tokenizer import read_tokenizer
from seqtrain.errors import ConfigError

OPTIONS = ("init", "init_backward")
TOKENIZING = ("tokenizer", "vocab_size", "min_count", "lowercase", "html_breaks")
"""Options of data that decide how a tokenizer is learned."""


def open_sources(config: Config) -> list[Source]:
    """The runs that a configuration starts from, ``init`` first; empty without any.

    Raises:
        ConfigError: if the model or the data of the configuration does not fit them.
        RunError: if one is no run, is not finished, saved no model, or is damaged.
    """
    sources = [open_source(config, option) for option in OPTIONS if getattr(config, option) is not None]
    for source in sources:
        check_data(config, source)
        check_model(config, source)
    if len(sources) > 1 and len({read_tokenizer(source.run.path) for source in sources}) > 1:
        raise ConfigError(
            f"{sources[1]}: has another tokenizer than {sources[0]}; train it with init={sources[0].run.path} "
            "init_takes=embedding, which takes the tokenizer over"
        )
    if sources:
        check_sizes(config, sources)
    return sources


def tokenizer_of(config: Config, sources: Sequence[Source]) -> Path | None:
    """Directory of the run whose tokenizer is taken over; None if there is none to take."""
    return sources[0].run.path if sources and tokenizes(config) else None


def tokenizes(config: Config) -> str:
    """What the tokenizers of a configuration's data are for."""
    kind: str = getattr(registry.find("data", config.data.kind).load(), "tokenizes", "")
    return kind


def check_data(config: Config, source: Source) -> None:
    """Raise ConfigError if the inputs of a run do not mean the same as those of a configuration."""
    ours, theirs = config.data, source.config.data
    kind, other = tokenizes(config), tokenizes(source.config)
    if kind != other:
        have = {"": "no tokenizer", "texts": "a tokenizer of labelled texts"}
        have |= {name: f"a tokenizer of {name}" for name in (kind, other) if name not in have}
        remedy = "train the language model on data=text_documents" if kind == "texts" else "take a run on such data"
        raise ConfigError(
            f"{source}: its data={theirs.name} has {have[other]}, and data={ours.name} needs {have[kind]}; {remedy}"
        )
    if not kind and source.described.spec.vocab_size is not None and ours.kind != theirs.kind:
        raise ConfigError(
            f"{source}: the tokens of its data={theirs.name} are not those of data={ours.name}; take a run on such data"
        )
    backward, wanted = getattr(theirs, "reverse", False), source.option == "init_backward"
    if wanted and not backward:
        raise ConfigError(f"{source}: was trained on texts read forwards; take a run with data.reverse=true")
    if not wanted and backward != getattr(ours, "reverse", False) and config.init_takes is not InitTakes.embedding:
        remedy = "give it as init_backward=" if backward else "take a run with data.reverse=true"
        raise ConfigError(f"{source}: was trained with data.reverse={str(backward).lower()}; {remedy}")


def check_model(config: Config, source: Source) -> None:
    """Raise ConfigError if the layers of a run compute something else than those of a configuration."""
    ours, theirs = config.model, source.config.model
    if config.init_takes is InitTakes.embedding:
        return
    if ours.kind != theirs.kind:
        raise ConfigError(
            f"model={ours.name}: is of kind {ours.kind}, and {source} has a model of kind {theirs.kind} "
            f"({theirs.name}); choose a model of that kind, or init_takes=embedding"
        )
    has = theirs.meaning()
    for key, value in ours.meaning().items():
        if value != has.get(key):
            raise ConfigError(
                f"model.{key}={as_typed(value)}: {source} has {as_typed(has.get(key))}; set it to this, or "
                "init_takes=embedding"
            )


def check_sizes(config: Config, sources: Sequence[Source]) -> None:
    """Raise ConfigError if weights do not fit the model, where this is known before data is read.

    It is not where the data has numbers, or ``budget.params`` finds the width.
    """
    vocab_size = sources[0].described.spec.vocab_size
    if vocab_size is None or config.budget.number() is not None:
        return
    task = registry.find("task", config.task.kind).load()
    spec = replace(task.stub_spec(config.data), vocab_size=vocab_size, pad_id=sources[0].described.spec.pad_id)
    model_class = registry.find("model", config.model.kind).load()
    with torch.device("meta"):
        model = model_class.from_config(config.model, spec, causal=task.causal, pooled=task.pooled)
    find_in_model(config, model, sources)


def tokenizer_notes(config: Config, sources: Sequence[Source]) -> list[str]:
    """A remark, as a list of one, that the tokenizer is taken over, and which options have no effect therefore."""
    if tokenizer_of(config, sources) is None:
        return []
    ours, theirs = config.data, sources[0].config.data
    common = [name for name in TOKENIZING if hasattr(ours, name) and hasattr(theirs, name)]
    idle = [f"data.{name}={as_typed(getattr(ours, name))}" for name in common
            if getattr(ours, name) != getattr(theirs, name)]  # fmt: skip
    without = f", which makes {', '.join(idle)} idle" if idle else ""
    return [f"tokenizer: that of {sources[0]}{without}"]

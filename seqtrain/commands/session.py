"""Sessions: data, model and trainer of a run, built with fresh weights or resumed from the last checkpoint."""

import logging
from dataclasses import asdict, dataclass, replace

from torch import nn

from seqtrain.atomic import replacing
from seqtrain.commands.budget import solve_width
from seqtrain.commands.build import Built, build_data, build_model, build_task, check_model
from seqtrain.commands.initial import open_sources, tokenizer_notes, tokenizer_of
from seqtrain.commands.kernels import check_kernel, prepare_kernels
from seqtrain.commands.seen_rows import SeenRows, find_seen
from seqtrain.commands.taken import describe, give_weights
from seqtrain.commands.wide import fill_wide, find_ngrams
from seqtrain.config.base import require
from seqtrain.config.loading import to_yaml
from seqtrain.config.root import Config
from seqtrain.config.sequence import SequenceConfig
from seqtrain.data.base import Dataset
from seqtrain.data.description import DataDescription, checksum
from seqtrain.data.seen import write_seen
from seqtrain.data.subset import few_batches
from seqtrain.errors import ConfigError, RunError
from seqtrain.models.pretrained import load_vectors
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import write_json
from seqtrain.training.device import prepare_determinism, prepare_device, seed_everything
from seqtrain.training.ranks import Ranks
from seqtrain.training.trainer import Trainer

log = logging.getLogger(__name__)


@dataclass
class Session:
    """A run in progress: its configuration, directory, data, model and trainer."""

    config: Config
    run: RunDirectory
    data: Dataset
    built: Built
    trainer: Trainer


def start(config: Config, run: RunDirectory, ranks: Ranks) -> Session:
    """Build the session of a new run, with fresh weights, and write what describes it to the run directory."""
    if ranks.first:
        save_config(config, run)
        run.write_environment()
    prepare_device(config.device)  # before data is read, so that a wrong device or model is reported at once
    prepare_determinism(config.trainer.deterministic)
    check_model(config)
    check_kernel(config)
    check_ranks(config, ranks)
    sources = open_sources(config)
    seed_everything(config.seed)
    data = build_data(config, tokenizer_of=tokenizer_of(config, sources))
    data.prepare_training()
    build_task(config, data.spec).check_data(data)
    seen = find_seen(config, data, sources)
    data.notes += [*tokenizer_notes(config, sources), *seen.notes]
    for note in data.notes:
        log.info(note)
    ngrams = find_ngrams(config, data)
    solve_width(config, data.spec)
    if ranks.first:
        save_config(config, run)  # again, with the sizes that were found
        data.save(run.path)
    built = build_model(config, data.spec)
    prepare_kernels(config, built)
    load_embedding(config, built, data)
    fill_wide(built, data, ngrams)
    if sources:
        initial = replace(give_weights(config, built, data, sources), seen=seen.counts)
        data.notes.append(f"init: {describe(initial)}")
        log.info(data.notes[-1])
        if ranks.first:
            write_json(run.init_path, asdict(initial))
    if ranks.first:
        describe_data(run, data, seen)
    if not ranks.first:
        seed_everything(config.seed + ranks.rank)  # each process draws its own dropout
    data = few_batches(data, config.debug.eval_batches)  # all of them, unless debug=dry
    return Session(config, run, data, built, build_trainer(config, run, data, built, ranks))


def resume_from_checkpoint(config: Config, run: RunDirectory, ranks: Ranks) -> Session:
    """Build the session of a run and restore it from the last checkpoint.

    Raises:
        RunError: if the data has changed, or the checkpoint cannot be used.
    """
    prepare_determinism(config.trainer.deterministic)
    data = build_data(config, trained=run.path)
    described = DataDescription.read(run.data_path)
    data.prepare_training()
    if (data.fingerprint, data.training_fingerprint) != (described.fingerprint, described.training_fingerprint):
        raise RunError(f"{run.path}: the data has changed since this run started (different fingerprint); train again")
    build_task(config, data.spec).check_data(data)
    built = build_model(config, data.spec)
    prepare_kernels(config, built)
    data = few_batches(data, config.debug.eval_batches)
    session = Session(config, run, data, built, build_trainer(config, run, data, built, ranks))
    session.trainer.resume()
    return session


def describe_data(run: RunDirectory, data: Dataset, seen: SeenRows) -> None:
    """Write data.json, after the files that it has checksums of."""
    described = data.describe() | {"tokenizer_crc32": checksum(run.tokenizer_path)}
    if seen.digests is not None:
        described["seen_crc32"] = write_seen(run.path, seen.digests)
    write_json(run.data_path, described)


def build_trainer(config: Config, run: RunDirectory, data: Dataset, built: Built, ranks: Ranks) -> Trainer:
    """The trainer of a run."""
    return Trainer(config.trainer, built.model, built.head, built.task, data, run, built.device, ranks)


def check_ranks(config: Config, ranks: Ranks) -> None:
    """Raise ConfigError if a batch has fewer rows than there are processes."""
    batch_size = getattr(config.data, "batch_size", ranks.size)
    require(batch_size >= ranks.size, "data.batch_size", batch_size, f"at least {ranks.size}, a row for each process")


def load_embedding(config: Config, built: Built, data: Dataset) -> None:
    """Load pretrained vectors from ``model.embedding.path``, if set, into the embedding, and log the coverage."""
    path = config.model.embedding.path if isinstance(config.model, SequenceConfig) else None
    if path is None:
        return
    tokens = data.token_names()
    if not tokens:
        raise ConfigError(
            f"model.embedding.path={path}: the inputs of data={config.data.name} are not words; remove this option"
        )
    embedding = built.model.get_submodule("embedding")
    assert isinstance(embedding, nn.Embedding)
    found = load_vectors(embedding, tokens, path)
    log.info("%s: has vectors for %d of %d tokens (%.1f %%)", path, found, len(tokens), 100 * found / len(tokens))


def save_config(config: Config, run: RunDirectory) -> None:
    """Write config.yaml."""
    with replacing(run.config_path) as temporary:
        temporary.write_text(to_yaml(config), encoding="utf-8")

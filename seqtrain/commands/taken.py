"""What a new run takes of the weights of the runs that it starts from, and what starts at random.

The embedding and the layers of the encoder must fit where both models have them. All else is taken if it fits and means
the same, and is fresh if not.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from seqtrain.commands.build import Built
from seqtrain.commands.sources import Source, as_typed
from seqtrain.config.loading import flatten
from seqtrain.config.root import Config, InitTakes
from seqtrain.data.base import Dataset
from seqtrain.errors import ConfigError
from seqtrain.models.state_names import current_names
from seqtrain.runs.records import Initial

FORWARD, BACKWARD = "encoder.layers.0.forward_layer.", "encoder.layers.0.backward_layer."
MUST_FIT = ("embedding", "encoder", "decoder")
OF_ENCODER = (*MUST_FIT, "input_attention", "output_attention")
OF_DATA = ("position_embedding", "variable_embedding", "future_projection")
"""Parts of forecasters that depend on the horizon or the variables. A head can be taken without them."""
SIZES = ("embedding.embed_dim", "hidden_size", "hidden_sizes", "feed_forward_size", "segment_length", "decompose")
"""Options of models that decide the shapes of embedding and encoder."""


def give_weights(config: Config, built: Built, data: Dataset, sources: Sequence[Source]) -> Initial:
    """Set the weights of a new model to those of the runs that it starts from, as far as they mean the same.

    Args:
        config: the configuration.
        built: the model, with random weights.
        data: the dataset.
        sources: the runs, at least one.

    Returns:
        The record of it, without the rows that the weights have seen.

    Raises:
        ConfigError: if they do not fit, or no weight is common to both.
    """
    check_variables(data, sources[0])
    model, head = built.model.state_dict(), built.head.state_dict()
    found = {f"model.{name}": tensor for name, tensor in find_in_model(config, built.model, sources).items()}
    found |= {f"head.{name}": tensor for name, tensor in find_in_head(config, built, data, sources[0], found).items()}
    found |= find_in_wide(config, model, sources[0])
    whole = nn.ModuleDict({"model": built.model, "head": built.head})
    parameters = dict(whole.named_parameters())  # a weight that model and head share is there once, by the model's name
    named = {f"model.{name}": tensor for name, tensor in model.items()}
    named |= {f"head.{name}": tensor for name, tensor in head.items()}
    shared = {name for name in head if f"head.{name}" not in parameters and f"head.{name}" in named}
    taken = {name: tensor for name, tensor in found.items() if name.removeprefix("head.") not in shared}
    with torch.no_grad():
        for name, tensor in taken.items():
            named[name].copy_(tensor)
    if not taken:
        raise ConfigError(f"{sources[0]}: has no layer in common with model={config.model.name}; take another run")
    return Initial(
        runs=[source.origin() for source in sources],
        taken=sum(parameter.numel() for name, parameter in parameters.items() if name in taken),
        parameters=sum(parameter.numel() for parameter in parameters.values()),
        fresh=[name.removeprefix("model.") for name in fresh(whole, taken)],
    )


def part_of(name: str) -> str:
    """The part of a model that a parameter belongs to."""
    return name.partition(".")[0]


def find_in_model(config: Config, model: nn.Module, sources: Sequence[Source]) -> dict[str, Tensor]:
    """The weights for a model that its runs have, by name.

    Args:
        config: the configuration.
        model: the model; its weights may be on the device ``meta``.
        sources: the runs.

    Raises:
        ConfigError: if the embedding or a layer of the encoder does not fit.
    """
    new = {name: tensor for name, tensor in model.state_dict().items() if part_of(name) != "wide"}
    old = {source.option: current_names(source.model, new) for source in sources}
    both, had_both = (any(name.startswith(BACKWARD) for name in names) for names in (new, old["init"]))
    if len(sources) > 1 and (had_both or not both):
        why = f"{sources[0]} reads in both directions itself" if had_both else "this model reads in one direction"
        raise ConfigError(f"{sources[1]}: {why}; leave it out, or take a bidirectional recurrent model")
    found = {}
    for name, tensor in new.items():
        source, there = sources[0], name
        if part_of(name) == "encoder" and both != had_both:
            # Of the layers, only one direction of the first reads the same in both models.
            if name.startswith(BACKWARD) and len(sources) > 1:
                source, there = sources[1], FORWARD + name.removeprefix(BACKWARD)
            elif not name.startswith(FORWARD):
                continue
        weight = old[source.option].get(there)
        if weight is None or not wanted(part_of(name), config.init_takes):
            continue
        if weight.shape == tensor.shape:
            found[name] = weight
        elif part_of(name) in MUST_FIT:
            raise misfit(config, source, there, weight, tensor)
    return with_whole_parts(config, new, found, sources[0])


def wanted(part: str, takes: InitTakes) -> bool:
    """Whether ``init_takes`` includes a part of a model."""
    return {
        InitTakes.all: True,
        InitTakes.encoder: part in OF_ENCODER,
        InitTakes.embedding: part == "embedding",
    }[takes]


def with_whole_parts(
    config: Config, new: Mapping[str, Tensor], found: dict[str, Tensor], source: Source
) -> dict[str, Tensor]:
    """What was found, without parts that lack a weight, or that read features which were not taken whole."""
    ours, theirs = dict(flatten(config.model)), dict(flatten(source.config.model))
    unlike = {part_of(key) for key in ours if ours[key] != theirs.get(key) and not key.endswith(".dropout")}
    encoded = all(name in found for name in new if part_of(name) in MUST_FIT)
    left_out = {
        part_of(name) for name in new
        if part_of(name) not in MUST_FIT
        and (name not in found or part_of(name) in unlike or not (encoded or part_of(name) == "input_attention"))
    }  # fmt: skip
    return {name: tensor for name, tensor in found.items() if part_of(name) not in left_out}


def find_in_head(
    config: Config, built: Built, data: Dataset, source: Source, found: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The weights for a head that its run has, by name; none unless all that the head reads is taken too."""
    if config.init_takes is not InitTakes.all or config.task.kind != source.config.task.kind:
        return {}
    read = [name for name in built.model.state_dict() if part_of(name) not in (*OF_DATA, "wide")]
    pooled = {getattr(each.model, "pooling", None) for each in (config, source.config)}
    if len(pooled) > 1 or any(f"model.{name}" not in found for name in read):
        return {}
    other = built.task.unlike_in_head(source.config.task, source.described.spec, source.run.path, data)
    new = built.head.state_dict()
    old = current_names(source.head, new)
    fits = {name: old[name] for name, tensor in new.items() if name in old and old[name].shape == tensor.shape}
    mapped = [name for name in new if part_of(name) not in built.task.separate_in_head]
    if any(name not in fits for name in mapped):
        fits = {name: tensor for name, tensor in fits.items() if name not in mapped}
    return {name: tensor for name, tensor in fits.items() if other is not None and part_of(name) not in other}


def find_in_wide(config: Config, model: Mapping[str, Tensor], source: Source) -> dict[str, Tensor]:
    """What the wide part of a run has learned, if its n-grams and their ratios are those of the new model's train."""
    tables = ("wide.keys", "wide.ratios")
    same = all(name in model and name in source.model and torch.equal(model[name].cpu(), source.model[name].cpu())
               for name in tables)  # fmt: skip
    if not same or config.init_takes is not InitTakes.all:
        return {}
    return {f"model.{name}": tensor for name, tensor in source.model.items() if part_of(name) == "wide"}


def check_variables(data: Dataset, source: Source) -> None:
    """Raise ConfigError if the variables of a forecast are those of a run in another order."""
    here, there = data.spec.target_names, source.described.spec.target_names
    if here != there and sorted(here) == sorted(there):
        raise ConfigError(
            f"data.targets: {source} has the same variables in another order; set data.targets=[{','.join(there)}]"
        )


def misfit(config: Config, source: Source, name: str, there: Tensor, here: Tensor) -> ConfigError:
    """The error for a layer of another shape; it names the options that decide the shape and differ."""
    ours, theirs = dict(flatten(config.model)), dict(flatten(source.config.model))
    differing = [key for key in SIZES if key in ours and key in theirs and ours[key] != theirs[key]]
    if not differing:
        sizes = (" x ".join(map(str, tensor.shape)) for tensor in (there, here))
        return ConfigError("{}: its {} is {}, and that of this model {}; take a run whose data has as many features, "
                           "or init=null".format(source, name, *sizes))  # fmt: skip
    remedy = " ".join(f"model.{key}={as_typed(theirs[key])}" for key in differing)
    have = ", ".join(f"model.{key}={as_typed(ours[key])}" for key in differing)
    return ConfigError(f"{have}: the weights of {source} have other sizes; set {remedy}")


def fresh(module: nn.Module, taken: Mapping[str, Tensor], prefix: str = "") -> Iterator[str]:
    """Names of the outermost modules none of whose weights is taken, and of single such weights beside taken ones."""
    names = [f"{prefix}{name}" for name, _ in module.named_parameters()]
    if not names:
        return
    if prefix not in ("", "model.") and not any(name in taken for name in names):
        yield prefix.removesuffix(".")
        return
    for name, _ in module.named_parameters(recurse=False):
        if f"{prefix}{name}" not in taken:
            yield f"{prefix}{name}"
    for name, child in module.named_children():
        yield from fresh(child, taken, f"{prefix}{name}.")


def describe(initial: Initial) -> str:
    """What a new run started from, for its reader."""
    share = f"{initial.taken:,} of {initial.parameters:,} parameters"
    rest = f"; at random: {', '.join(initial.fresh)}" if initial.fresh else ""
    seen = ", ".join(f"{count:,} of {split}" for split, count in initial.seen.items()) or "not known"
    return f"{share} from {' and '.join(map(str, initial.runs))}{rest}; rows that these have seen: {seen}"

"""Commands that are composed as training is, and do something else with the configuration: lr-find, check-resume."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from seqtrain.cli.arguments import Parsers, finite_number, own_values, parsed, whole_number
from seqtrain.cli.composing import compose, past_hydra, several_processes, where_typed
from seqtrain.cli.given import check_own, check_words, parse
from seqtrain.cli.head_start import start_kernels
from seqtrain.cli.size_check import check_width
from seqtrain.cli.sweep_arguments import key_of
from seqtrain.commands.memory import within_memory
from seqtrain.config import loading
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError


def lr_find(arguments: Sequence[str]) -> None:
    """Find a learning rate: train while it rises, and see where the loss falls.

    seqtrain lr-find [group=option] [key=value] ... [low=1e-6] [high=10] [steps=150]

    Groups and keys are those of training. The rates suggested, and where the figure lies, are printed as JSON; the
    directory, outputs/lr-find-<data>-<model>-<time>, also gets a line for each step. Its model is not kept.
    """

    def job(config: Config, directory: Path, **numbers: Any) -> None:
        from seqtrain.commands.lr_find import lr_find

        lr_find(config, directory, **numbers)

    run_composed("lr-find", arguments, {"low": finite_number, "high": finite_number, "steps": whole_number}, job)


def check_resume(arguments: Sequence[str]) -> None:
    """Prove that a run which is stopped and resumed equals one that never stopped.

    seqtrain check-resume [group=option] [key=value] ... [steps=5]

    Trains twice as many steps at once, and as many, a stop and as many more, and compares all tensors and logs bit by
    bit. The first difference is named, with exit code 1. The runs lie in outputs/check-resume-<data>-<model>-<time>.
    """

    def job(config: Config, directory: Path, steps: int = 5) -> None:
        from seqtrain.commands.check_resume import check_resume

        compared = check_resume(config, steps, directory)
        split = f"after {steps}, a stop and {steps}"
        print(f"equal: {compared} tensors and numbers after {2 * steps} steps at once, and {split}")

    run_composed("check-resume", arguments, {"steps": whole_number}, job)


def run_composed(name: str, arguments: Sequence[str], own: Parsers, job: Callable[..., None]) -> None:
    """Compose what is not among a command's own keys, and call its job with config, directory and its own values."""
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError(f"{name}: makes one test at a time; leave -m out")
    if several_processes():
        raise ConfigError(f"{name}: makes its test in one process; leave torchrun out")
    given, rest = own_values(arguments, own)
    values: dict[str, Any] = {key: parsed(key, texts[-1], own[key]) for key, texts in given.items()}
    check_words(rest)
    check_own(rest, own)
    parse([word for word in rest if "=" in word and not word.startswith("-")])
    if not any(key_of(argument) == "hydra.run.dir" for argument in rest):
        rest.append(f"hydra.run.dir=outputs/{name}-${{data.name}}-${{model.name}}-${{now:%Y%m%d-%H%M%S}}")

    def composed(tree: DictConfig) -> None:
        directory = Path(HydraConfig.get().runtime.output_dir)
        with where_typed(), past_hydra(directory):
            config = loading.to_config(tree)
            check_width(config, HydraConfig.get().overrides.task)
            start_kernels(config)
            with within_memory(config):
                job(config, directory, **values)

    compose(rest, composed)

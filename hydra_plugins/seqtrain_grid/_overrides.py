"""Overrides made of what a sweep's directory holds: its recorded command, its study, its name.

The directory may come from anyone. So what is replayed from it is checked against what this tool itself offers; Hydra
offers much more, environment variables and the names of Python functions among it.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, OverrideType, Quote, QuotedString
from hydra.errors import HydraException

from seqtrain.config.loading import literal_text
from seqtrain.paths import expanded

GROUPS = {
    *("data", "model", "task", "trainer", "regularisation", "experiment", "hparams_search", "debug", "size"),
    *("hydra/launcher", "hydra/sweeper", "hydra/sweeper/sampler", "hydra/sweeper/pruner"),
}
NODES = "data|model|task|trainer|budget|debug"
SWEEPER = "max_batch_size|n_jobs|n_trials|max_failure_rate|study_name|direction"
LAUNCHER = (
    "n_jobs|verbose|timeout|batch_size|timeout_min|nodes|name|cpus_per_task|cpus_per_gpu|gpus_per_node|gpus_per_task"
    "|tasks_per_node|mem_gb|mem_per_gpu|mem_per_cpu|partition|qos|account|constraint|exclude|gres|comment"
    "|signal_delay_s|max_num_timeout|array_parallelism|stderr_to_stdout"
)
"""Not among them: what names files, commands for a batch script, and expressions that joblib evaluates."""
KEYS = re.compile(
    rf"seed|device|sweep\.on_error|({NODES})(\.[A-Za-z]\w*)+|hydra\.(mode|verbose)|hydra\.launcher\.({LAUNCHER})"
    rf"|hydra\.sweeper\.({SWEEPER})|hydra\.sweeper\.(sampler|pruner)\.[A-Za-z]\w*"
)
"""Keys whose values may be replayed, if those are plain."""
SUBDIR = re.compile(
    r"(\w|\$\{hydra\.job\.num\})([\w.-]|\$\{(hydra\.job\.num|data\.name|model\.name|task\.name|seed)\})*"
)
PARTS: dict[str, re.Pattern[str]] = {
    "hydra.sweep.subdir": SUBDIR,
    "hydra.sweeper.sampler._target_": re.compile(r"optuna\.samplers\.(?!CmaEs)\w+"),
    "hydra.sweeper.pruner._target_": re.compile(r"optuna\.pruners\.\w+"),
    "hydra/sweeper/sampler": re.compile(r"(?!cmaes)[\w-]+"),
    **{f"{node}.name": re.compile(r"[\w.-]+") for node in ("data", "model", "task", "trainer")},
    **{group: re.compile(r"[\w-]+") for group in GROUPS - {"hydra/sweeper/sampler"}},
}
"""Keys whose values may be replayed in this form only. CMA-ES keeps its state in the study as a pickle: as code."""
REFERENCE = re.compile(r"\$\\*\{")
CODE = "may run code, or write outside of the sweep"


def literal(text: str) -> str:
    """A text as the value of an override that means this text and nothing else."""
    return QuotedString(literal_text(text), Quote.single).with_quotes()


def refusal(argument: Any, directory: Path) -> str | None:
    """Why an override from a sweep's directory is not replayed; None if it may be.

    Args:
        argument: the override.
        directory: of the sweep.
    """
    if not isinstance(argument, str) or argument.startswith("-"):
        return CODE
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        return "cannot be read as key=value"
    key, value = override.key_or_group, override.value()
    if override.type is OverrideType.DEL or override.package is not None:
        return CODE
    if key == "hydra.sweeper.params" or key.startswith("hydra.sweeper.params."):
        return refusal_of_space(key.removeprefix("hydra.sweeper.params").lstrip("."), value, directory)
    if key == "hydra.sweeper.storage":
        inside = re.fullmatch(r"sqlite:///([^?%]+)", str(plain(value)))
        if inside is None or Path(os.path.abspath(expanded(inside[1]))).parent != directory.absolute():
            return "is a database outside of the sweep"
        return None
    if key not in PARTS and KEYS.fullmatch(key) is None:
        return CODE
    for part in map(plain, parts(override)):
        if isinstance(part, Glob) and key in GROUPS and not key.startswith("hydra/"):
            continue  # names of a group's own options
        if key in PARTS:
            if not isinstance(part, str) or PARTS[key].fullmatch(part) is None:
                return CODE
        elif isinstance(part, str) and REFERENCE.search(part):
            return "refers to something else by ${...}"
        elif isinstance(part, str) and (not part.isprintable() or re.fullmatch(r"_\w+_", part)):
            return CODE
    return None


def refusal_of_space(key: str, value: Any, directory: Path) -> str | None:
    """Why a search space in ``hydra.sweeper.params`` is not replayed: its keys and values are overrides themselves."""
    items = {key: value} if key else value
    if not isinstance(items, dict):
        return CODE
    return next(filter(None, (refusal(f"{name}={plain(each)}", directory) for name, each in items.items())), None)


def parts(override: Override) -> Iterator[Any]:
    """All texts and numbers of an override's value."""
    value = override.value()
    stack = list(value.list) if isinstance(value, ChoiceSweep) else [value]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            stack += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            stack += part
        else:
            yield part


def plain(part: Any) -> Any:
    """A part of a value without its quotes."""
    return part.text if isinstance(part, QuotedString) else part

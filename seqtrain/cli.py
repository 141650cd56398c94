"""The command line: finds the command, composes its configuration, and turns errors into one line.

The only module that imports hydra. Commands, and with them torch, are imported once the configuration is known to be
sound.
"""

import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqtrain.config import loading, registry
from seqtrain.config.base import suggest
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError, UserError
from seqtrain.run_directory import RunDirectory

log = logging.getLogger(__name__)

Parsers = dict[str, Callable[[str], Any]]

EXPECTED = (UserError, HydraException, OmegaConfBaseException, OSError)
"""Errors that a user can mend: one line, no traceback."""


def main() -> None:
    """Entry point of ``seqtrain`` and ``python -m seqtrain``."""
    full_error = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hydra then raises what it would print, and the line below is ours
    try:
        dispatch(sys.argv[1:])
    except BrokenPipeError:  # the reader of stdout, `head` say, has gone: not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("seqtrain: interrupted", file=sys.stderr)
        sys.exit(130)
    except (*EXPECTED, JobFailed) as error:
        cause = error.__cause__ if isinstance(error, JobFailed) else error
        assert isinstance(cause, Exception)
        if full_error:
            raise cause from cause.__cause__
        print(f"seqtrain: error: {one_line(cause)}", file=sys.stderr)
        sys.exit(1)


def dispatch(arguments: list[str]) -> None:
    """Run the command that the first word names; without one, train or resume."""
    registry.load_plugins()
    if arguments and re.fullmatch(r"[a-z-]+", arguments[0]) and not arguments[0].startswith("-"):
        command, arguments = arguments[0], arguments[1:]
    else:
        command = "train"
    if command == "train" and any(a.startswith("resume=") for a in arguments):
        command = "resume"
    if command == "train":
        return train(arguments)
    if command not in COMMANDS:
        raise ConfigError(f"{command}: no such command; {suggest(command, ['train', *COMMANDS])}")
    if {"-h", "--help"} & set(arguments):
        print(inspect.getdoc(COMMANDS[command]))
        return None
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    return COMMANDS[command](arguments)


def conf_directory() -> Path:
    """The folder of YAML files: inside the installed package, else beside it in a source tree."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "conf", package.parent / "conf"):
        if (candidate / "train.yaml").is_file():
            return candidate
    raise ConfigError(f"conf/ is in neither {package} nor {package.parent}: install seqtrain again")


def store_schemas() -> None:
    """Give Hydra the schemas of all registered kinds, as options of the groups ``schema/<group>``."""
    store = ConfigStore.instance()
    store.store(group="schema", name="config", node=Config, package="_global_")
    for group, kinds in registry.REGISTRY.items():
        for kind, entry in kinds.items():
            node = OmegaConf.structured(entry.schema)
            node.kind = kind
            store.store(group=f"schema/{group}", name=kind, node=node)


class PluginFolders(SearchPathPlugin):
    """Adds the YAML folders of installed plugins to Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in registry.FOLDERS:
            search_path.append("seqtrain-plugin", f"file://{folder}")


def add_plugin_folders() -> None:
    """Put the plugins' folders on the search path.

    Raises:
        ConfigError: if two folders have a file of one name: Hydra would take the first and say nothing.
    """
    owners: dict[Path, Path] = {}
    for folder in [conf_directory(), *registry.FOLDERS]:
        for path in sorted(folder.rglob("*.yaml")):
            owner = owners.setdefault(path.relative_to(folder), folder)
            if owner != folder:
                raise ConfigError(f"{path}: an option of this name is in {owner} too; rename this one")
    Plugins.instance().register(PluginFolders)


def option_groups() -> str:
    """The groups and their options, a line each, for --help."""
    loader = GlobalHydra.instance().config_loader()
    groups = [*loading.GROUPS, "experiment"]
    return "\n".join(f"  {group}: {', '.join(loader.get_group_options(group)) or '(none)'}" for group in groups)


def train(arguments: Sequence[str]) -> None:
    """Compose by Hydra, and train once or, with --multirun, many times."""
    store_schemas()
    add_plugin_folders()
    OmegaConf.register_new_resolver("option_groups", option_groups, replace=True)
    sys.argv = [sys.argv[0], *arguments]
    if "COMP_LINE" in os.environ:  # shell completion: Hydra knows no word `train`
        os.environ["COMP_LINE"] = os.environ["COMP_LINE"].replace(" train ", " ", 1)
    hydra.main(config_path=str(conf_directory()), config_name="train", version_base="1.3")(train_job)()


class JobFailed(BaseException):
    """Carries a job's error past Hydra, which would print lines of its own for an Exception."""


def train_job(tree: DictConfig) -> float:
    """Train one composed configuration; returns the monitored value, which sweepers optimise."""
    settings = HydraConfig.get()
    directory = Path(settings.runtime.output_dir)
    exact = any(o.startswith("hydra.run.dir=") for o in settings.overrides.hydra)
    try:
        config = loading.to_config(tree)
        run = RunDirectory.claim(directory, exact=exact)
        with run.locked():
            from seqtrain.commands.train import train

            return train(config, run)
    except EXPECTED as error:
        with suppress(OSError):
            directory.rmdir()  # made by Hydra; this succeeds only where nothing is in it
        if settings.mode is RunMode.MULTIRUN:  # the other jobs go on, and Hydra raises this error at the end
            log.error("job %s failed: %s", settings.job.num, one_line(error))
            raise
        raise JobFailed from error


def resume(arguments: Sequence[str]) -> None:
    """Go on with a run from its last checkpoint.

    seqtrain resume=<run> [trainer.epochs=N] [device=...]

    epochs may be raised where the learning-rate schedule does not depend on it.
    """
    literal, overrides = split_arguments(arguments, "resume")
    run = RunDirectory.open(literal["resume"], "resume")
    saved, config = run_config(run, overrides)
    with run.locked():
        from seqtrain.commands.train import resume

        resume(saved, config, run)


def evaluate(arguments: Sequence[str]) -> None:
    """Print the scores of a run's model, as JSON.

    seqtrain eval run=<run> [split=test|validation|train] [checkpoint=best|last] [data.path=...] [device=...]

    split is test where the data has one, else validation; of a file given as data.path all rows are scored.
    """
    literal, overrides = split_arguments(arguments, "run", split=None, checkpoint="best")
    run = RunDirectory.open(literal["run"])
    saved, config = run_config(run, overrides)
    from seqtrain.commands.evaluate import evaluate

    other_data = any(override.startswith("data.path=") for override in overrides)
    evaluate(saved, config, run, split=literal["split"], checkpoint=literal["checkpoint"], other_data=other_data)


def predict(arguments: Sequence[str]) -> None:
    """Add predictions to the rows of a file, or forecast what follows them.

    seqtrain predict run=<run> input=<file> [output=<file>] [checkpoint=best|last] [data.text_column=...] [device=...]

    A classifier writes the input's columns with a prediction and one probability per class; a language model the
    tokens of a text with their log-probabilities; a forecaster the data.horizon steps after the end of each series.
    Files: csv, tsv, jsonl, parquet, txt (input only; for a classifier one text a line); of series the input is csv or
    parquet; - is stdin (csv, of series) and, as jsonl, stdout.
    """
    literal, overrides = split_arguments(arguments, "run", "input", output="-", checkpoint="best")
    run = RunDirectory.open(literal["run"])
    saved, config = run_config(run, overrides)
    from seqtrain.commands.predict import predict

    predict(saved, config, run, literal["input"], literal["output"], checkpoint=literal["checkpoint"])


def backtest(arguments: Sequence[str]) -> None:
    """Print the scores of a run's forecasts from origins that roll over a split, as JSON.

    seqtrain backtest run=<run> [split=test|validation] [stride=1] [output=<file>] [checkpoint=best|last]
        [data.path=...] [device=...]

    There is an origin every stride steps; with 1 the scores are those of eval. output, csv, tsv, jsonl or parquet, gets
    a row for each origin, series, step and variable. Of a file given as data.path all rows are forecast.
    """
    literal, overrides = split_arguments(arguments, "run", split=None, stride="1", output=None, checkpoint="best")
    run = RunDirectory.open(literal["run"])
    saved, config = run_config(run, overrides)
    stride = parsed("stride", literal["stride"], int)
    from seqtrain.commands.backtest import backtest

    other_data = any(override.startswith("data.path=") for override in overrides)
    options = {key: literal[key] for key in ("split", "output", "checkpoint")}
    backtest(saved, config, run, stride=stride, other_data=other_data, **options)


def generate(arguments: Sequence[str]) -> None:
    """Continue a text with a run's language model.

    seqtrain generate run=<run> [prompt=<text> | prompt_file=<file>] [max_tokens=200] [num_samples=1] [seed=0]
        [greedy=true] [temperature=1.0] [top_k=<k>] [top_p=1.0] [repetition_penalty=1.0] [stop=<text> ...]
        [stream=true] [checkpoint=best|last] [device=...]

    The prompt is taken literally; prompt_file=- reads it from stdin. A sample ends before the first stop text.
    """
    stop = [argument.removeprefix("stop=") for argument in arguments if argument.startswith("stop=")]
    arguments = [argument for argument in arguments if not argument.startswith("stop=")]
    numbers: Parsers = {"max_tokens": int, "num_samples": int, "seed": int, "stream": parse_bool}
    choosing: Parsers = {"temperature": float, "top_k": int, "top_p": float, "repetition_penalty": float}
    choosing |= {"greedy": parse_bool}
    optional = dict.fromkeys(["prompt", "prompt_file", *numbers, *choosing])
    literal, overrides = split_arguments(arguments, "run", checkpoint="best", **optional)
    run = RunDirectory.open(literal["run"])
    saved, config = run_config(run, overrides)
    given = {key: parsed(key, literal[key], kind) for key, kind in (numbers | choosing).items() if literal[key]}
    prompt = read_prompt(literal["prompt"], literal["prompt_file"])
    from seqtrain.commands.evaluate import check_changes, check_choice
    from seqtrain.commands.language import Generation, generate
    from seqtrain.tasks.sampling import Sampling

    check_choice("checkpoint", literal["checkpoint"], ("best", "last"))
    check_changes(saved, config)
    sampling = Sampling(**{key: value for key, value in given.items() if key in choosing})
    options = {key: value for key, value in given.items() if key in numbers} | prompt
    generate(config, run, Generation(stop=stop, sampling=sampling, **options), checkpoint=literal["checkpoint"])


def read_prompt(text: str | None, file: str | None) -> dict[str, str]:
    """The prompt, from the command line, a file or stdin (-); empty if there is none."""
    if text is not None and file is not None:
        raise ConfigError("prompt_file: give it or prompt, not both")
    if file is None:
        return {} if text is None else {"prompt": text}
    content = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
    try:
        return {"prompt": content.decode("utf-8-sig")}
    except UnicodeDecodeError as error:
        raise ConfigError(f"prompt_file={file}: byte {error.start} is not UTF-8 ({error.reason})") from error


def parse_bool(value: str) -> bool:
    """True or false."""
    if value.lower() not in ("true", "false"):
        raise ValueError
    return value.lower() == "true"


def parsed(key: str, value: str, kind: Callable[[str], Any]) -> Any:
    """A value of the command line as a number, or as true or false."""
    try:
        return kind(value)
    except ValueError:
        names = {int: "a whole number", float: "a number", parse_bool: "true or false"}
        raise ConfigError(f"{key}={value}: must be {names[kind]}") from None


COMMANDS: dict[str, Callable[[Sequence[str]], Any]] = {
    "resume": resume,
    "eval": evaluate,
    "predict": predict,
    "backtest": backtest,
    "generate": generate,
}


def split_arguments(
    arguments: Sequence[str], *required: str, **optional: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Separate a command's own key=value pairs, whose values are taken literally, from overrides of the config."""
    literal: dict[str, str | None] = dict(optional)
    overrides = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or argument.startswith("-"):
            raise ConfigError(
                f"{argument}: expected key=value; keys: {', '.join([*required, *optional])}, data.*, device"
            )
        if key in required or key in optional:
            literal[key] = value
        else:
            overrides.append(argument)
    for key in required:
        if not literal.get(key):
            raise ConfigError(f"{key}: must be given, as {key}=...")
    return literal, overrides


def run_config(run: RunDirectory, overrides: list[str]) -> tuple[Config, Config]:
    """A run's saved configuration, as it was and with overrides applied under the same schemas."""
    tree = loading.from_yaml(run.config_path)
    saved = loading.to_config(tree)
    for override in OverridesParser.create().parse_overrides(overrides):
        key = override.key_or_group
        if key in loading.GROUPS:
            raise ConfigError(f"{key}=...: a run keeps its own {key}; give single keys, as {key}.key=value")
        try:
            OmegaConf.update(tree, key, override.value(), merge=True)
        except OmegaConfBaseException as error:
            raise loading.explain(error) from error
    return saved, loading.to_config(tree)


def one_line(error: Exception) -> str:
    """What is wrong in one line: for Hydra's errors, the key and value with the closest valid names."""
    cause = error.__cause__
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and not isinstance(error, MissingConfigException):
        return f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    if isinstance(cause, OmegaConfBaseException):
        given = re.search(r"override '?\+*([^\s']+?)'?\.?$", str(error).splitlines()[0])
        line = str(loading.explain(cause))
        return line if given is None or "=" not in given[1] else f"{given[1]}: {line.partition(': ')[2]}"
    if isinstance(error, OmegaConfBaseException):
        return str(loading.explain(error))
    missing = re.search(r"Could not find '(?P<group>.+)/(?P<option>[^/']+)'", str(error))
    if missing:
        options = re.findall(r"^\t(\S+)$", str(error), flags=re.MULTILINE)
        group = missing["group"]
        return (
            f"{group}={missing['option']}: no such option; {suggest(missing['option'], options)} (see {group}/ in conf)"
        )
    return " ".join(str(error).split())

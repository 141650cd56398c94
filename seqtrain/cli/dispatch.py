"""Finds the command that the first word names, and calls it; prints help and version."""

import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import seqtrain
from seqtrain.cli import commands
from seqtrain.cli.completion import complete
from seqtrain.cli.composed import check_resume, lr_find
from seqtrain.cli.composing import train
from seqtrain.cli.hydra_setup import add_to_hydra, composed_keys
from seqtrain.cli.node_help import describe
from seqtrain.cli.overview import overview
from seqtrain.commands.memory import within_memory
from seqtrain.config import registry
from seqtrain.config.base import suggest
from seqtrain.errors import ConfigError
from seqtrain.printable import PrintableRecord

COMMANDS: dict[str, Callable[[Sequence[str]], Any]] = {
    "resume": commands.resume,
    "sweep": commands.sweep,
    "eval": commands.evaluate,
    "predict": commands.predict,
    "explain": commands.explain,
    "backtest": commands.backtest,
    "generate": commands.generate,
    "compare": commands.compare,
    "inspect": commands.inspect,
    "board": commands.board,
    "ensemble": commands.ensemble,
    "label-errors": commands.label_errors,
    "lr-find": lr_find,
    "check-resume": check_resume,
}


def dispatch(arguments: list[str]) -> None:
    """Run the command that the first word names; without one, train or resume."""
    logging.setLogRecordFactory(PrintableRecord)
    if arguments[:1] == ["--version"]:
        return print(f"seqtrain {seqtrain.__version__}")
    registry.load_plugins()
    if "COMP_LINE" in os.environ and not complete(COMMANDS):
        return None
    if arguments and re.fullmatch(r"[a-z-]+", arguments[0]) and not arguments[0].startswith("-"):
        command, arguments = arguments[0], arguments[1:]
    else:
        command = "train"
    if command == "train" and any(a.startswith("resume=") for a in arguments):
        command = "resume"
    flags = {"-h", "--help"} & set(arguments)
    if command == "train":
        return show_help([a for a in arguments if a not in flags]) if flags else train(arguments)
    if command not in COMMANDS:
        if command in composed_keys([]):
            raise ConfigError(f"{command}: expected {command}=<value>; see seqtrain --help {command}")
        raise ConfigError(f"{command}: no such command; {suggest(command, ['train', *COMMANDS])}")
    if flags:
        print(inspect.getdoc(COMMANDS[command]))
        return None
    logging.basicConfig(format="%(message)s", stream=sys.stderr)  # libraries: what they warn of
    logging.getLogger("seqtrain").setLevel(logging.INFO)
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with within_memory():
        return COMMANDS[command](arguments)


def show_help(arguments: list[str]) -> None:
    """Print the overview, or what there is to say of the nodes that are named."""
    add_to_hydra()  # refuses plugins that do not fit
    print(describe(arguments) if arguments else overview(COMMANDS))

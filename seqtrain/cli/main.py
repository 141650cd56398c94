"""Entry point: finds the command, and turns errors into one line and an exit code."""

import inspect
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import seqtrain
from seqtrain.cli import commands
from seqtrain.cli.completion import complete
from seqtrain.cli.composed import check_resume, lr_find
from seqtrain.cli.composing import JobFailed, train
from seqtrain.cli.head_start import share_the_machine
from seqtrain.cli.node_help import describe
from seqtrain.cli.one_line import EXPECTED, one_line
from seqtrain.cli.overview import overview
from seqtrain.config import registry
from seqtrain.config.base import suggest
from seqtrain.errors import ConfigError, Interrupted
from seqtrain.interruption import raise_interrupted

COMMANDS: dict[str, Callable[[Sequence[str]], Any]] = {
    "resume": commands.resume,
    "sweep": commands.sweep,
    "eval": commands.evaluate,
    "predict": commands.predict,
    "backtest": commands.backtest,
    "generate": commands.generate,
    "compare": commands.compare,
    "lr-find": lr_find,
    "check-resume": check_resume,
}


def main() -> None:
    """Entry point of ``seqtrain`` and ``python -m seqtrain``."""
    full_error = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hydra then raises what it would print, and the line below is ours
    signal.signal(signal.SIGTERM, raise_interrupted)
    share_the_machine()
    try:
        dispatch(sys.argv[1:])
    except BrokenPipeError:  # the reader of stdout, `head` say, has gone: not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("seqtrain: interrupted", file=sys.stderr)
        sys.exit(130)
    except Interrupted as error:
        print(f"seqtrain: interrupted by {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (*EXPECTED, JobFailed) as error:
        cause = error.__cause__ if isinstance(error, JobFailed) else error
        assert isinstance(cause, Exception)
        if full_error:
            raise cause from cause.__cause__
        print(f"seqtrain: error: {one_line(cause)}", file=sys.stderr)
        sys.exit(1)


def dispatch(arguments: list[str]) -> None:
    """Run the command that the first word names; without one, train or resume."""
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
        raise ConfigError(f"{command}: no such command; {suggest(command, ['train', *COMMANDS])}")
    if flags:
        print(inspect.getdoc(COMMANDS[command]))
        return None
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    return COMMANDS[command](arguments)


def show_help(arguments: list[str]) -> None:
    """Print the overview, or what there is to say of the nodes that are named."""
    print(describe(arguments) if arguments else overview(COMMANDS))

"""Find a learning rate by a range test."""

import logging
import math
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from seqtrain.atomic import replacing
from seqtrain.commands.session import start
from seqtrain.config.base import require
from seqtrain.config.debug import DebugMode
from seqtrain.config.root import Config
from seqtrain.console import show
from seqtrain.errors import ConfigError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import to_json, write_json
from seqtrain.training.observers import Console
from seqtrain.training.range_test import RangeTest, range_test
from seqtrain.training.ranks import SOLO

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

LEAST_STEPS = 20


def lr_find(config: Config, directory: Path, low: float = 1e-6, high: float = 10.0, steps: int = 150) -> dict[str, Any]:
    """Run a learning-rate range test, print its suggestions as JSON, and write its curve and figure.

    Args:
        config: the configuration of a run; its learning rate, its schedule and ``unfreeze`` are not used.
        directory: folder for lr-find.json, lr-find.jsonl (one line per step) and lr-find.png.
        low: learning rate of the first step.
        high: learning rate of the last step.
        steps: number of steps.

    Returns:
        The printed result: ``steepest`` and ``lowest_over_10``, the two suggested rates, None if the loss did not fall;
        the number of ``steps`` made, and why the test ``ended``; the path of the ``figure``.

    Raises:
        ConfigError: if a number is out of range, or the directory already holds a test.
    """
    require(0 < low < math.inf, "low", low, "above 0")
    require(low < high < math.inf, "high", high, f"above low ({low:g})")
    require(steps >= LEAST_STEPS, "steps", steps, f"at least {LEAST_STEPS}")
    mode = config.debug.mode
    require(mode is DebugMode.none, "debug", mode.value, "removed: lr-find saves no model in any case")
    if (directory / "lr-find.json").exists():
        raise ConfigError(f"hydra.run.dir={directory}: already holds a test; choose another directory")
    config = replace(config, trainer=replace(config.trainer, unfreeze=None))  # the rate is to suit all parameters
    with TemporaryDirectory(prefix="seqtrain-lr-find-") as scratch:  # the trainer needs a run directory
        run = RunDirectory.claim(Path(scratch) / "run", exact=True)
        trainer = start(config, run, SOLO).trainer
        log.info("%s: learning rates from %g to %g over %d steps", config.model.name, low, high, steps)
        console = Console(steps, 0, "")
        trainer.observers = [console]
        test = range_test(trainer, low, high, steps)
        console.close()
    result = summary(test) | {"figure": str(directory / "lr-find.png")}
    directory.mkdir(parents=True, exist_ok=True)
    write_curve(test, directory / "lr-find.jsonl")
    with replacing(directory / "lr-find.png") as temporary:
        range_figure(test, f"{config.model.name} on {config.data.name}").savefig(temporary, format="png")
    write_json(directory / "lr-find.json", result)
    if result["steepest"] is None:
        log.info("the loss did not fall at any rate, so that none is suggested; try other rates by low= and high=")
    elif test.lowest() == test.rates[-1]:
        log.info("the loss still falls at the highest rate; give a higher one by high=")
    show(to_json(result, indent=2), f"the result is in {directory / 'lr-find.json'}")
    return result


def summary(test: RangeTest) -> dict[str, Any]:
    """The two customary suggestions of a learning rate, with two digits, and how the test went."""
    lowest, steepest = test.lowest(), test.steepest()
    return {
        "steepest": None if lowest is None or steepest is None else float(f"{steepest:.2g}"),
        "lowest_over_10": None if lowest is None or steepest is None else float(f"{lowest / 10:.2g}"),
        "steps": len(test.losses),
        "ended": test.ended,
    }


def write_curve(test: RangeTest, path: Path) -> None:
    """Write one JSON object for each step: its rate, its loss, and the median of the losses around it."""
    columns = test.rates.tolist(), test.losses.tolist(), test.smoothed.tolist()
    rows = [dict(zip(("learning_rate", "loss", "median"), row, strict=True)) for row in zip(*columns, strict=True)]
    with replacing(path) as temporary:
        temporary.write_text("".join(to_json({"step": step} | row) + "\n" for step, row in enumerate(rows, 1)))


def range_figure(test: RangeTest, title: str) -> "Figure":
    """Plot the loss of each step over its learning rate, on a log axis, with running median and suggested rates."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    if test.falls:  # later losses may be far higher
        first, lowest = test.smoothed[0], test.smoothed.min()
        axes.set_ylim(lowest - (first - lowest), first + (first - lowest))
    axes.plot(test.rates, test.losses, ".", color="lightgray", label="loss of a step")
    axes.plot(test.rates, test.smoothed, label="median of 11 steps")
    suggested = summary(test)
    for name, style in (("steepest", "--"), ("lowest_over_10", ":")):
        if suggested[name] is not None:
            label = f"{name.replace('_', ' ').replace('over', '/')}: {suggested[name]:g}"
            axes.axvline(suggested[name], linestyle=style, color="black", label=label)
    axes.set(xlabel="learning rate", ylabel="training loss", title=title)
    axes.legend()
    return figure

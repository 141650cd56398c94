"""Short debugging runs: ``debug=overfit``, ``dry`` and ``profile``."""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import fields, is_dataclass
from typing import Any

from torch.profiler import ProfilerActivity, schedule
from torch.profiler import profile as recording

from seqtrain.commands.session import Session
from seqtrain.config.base import require
from seqtrain.config.data import TextClassificationConfig
from seqtrain.config.debug import DebugMode
from seqtrain.config.root import Config
from seqtrain.config.trainer import Average, Schedule
from seqtrain.console import show
from seqtrain.data.subset import one_batch
from seqtrain.runs.json_files import to_json, write_json
from seqtrain.training.evaluation import evaluate
from seqtrain.training.observers import Console, JsonLines
from seqtrain.training.ranks import Ranks
from seqtrain.training.steps import make_steps

log = logging.getLogger(__name__)

LEARNED_SHARE = 0.02  # share of the first loss below which rows count as memorised
WAIT, WARMUP = 5, 3  # steps before the recorded ones; the first steps allocate memory and choose kernels
ROWS_SHOWN = 15
REGULARISERS = {
    *("dropout", "output_dropout", "word_dropout", "weight_drop", "weight_decay", "label_smoothing"),
    *("activation_penalty", "change_penalty", "rare_dropout", "wide_dropout", "wide_row_dropout"),
    *("adversarial", "virtual_adversarial", "rdrop", "mixup", "scheduled_sampling"),
}


def simplify(config: Config, ranks: Ranks) -> None:
    """Change the configuration to what a debugging run needs; the run saves the changed one.

    Raises:
        ConfigError: for ``overfit`` and ``profile`` in several processes.
    """
    mode, trainer = config.debug.mode, config.trainer
    if mode is DebugMode.none:
        return
    assert config.debug.steps is not None
    require(ranks.size == 1 or mode is DebugMode.dry, "debug", mode.value, "in one process, without torchrun")
    trainer.max_steps, trainer.baselines = config.debug.steps, False
    if mode is DebugMode.dry:
        trainer.warmup_steps, trainer.eval_every, trainer.evaluations = 0, None, None
    elif mode is DebugMode.overfit:
        trainer.schedule, trainer.warmup_steps, trainer.average = Schedule.constant, 0, Average.none
        trainer.unfreeze = None
        for node in (config.data, config.model, config.task, trainer):
            disable_regularisers(node)
        if isinstance(config.data, TextClassificationConfig):
            config.data.unlabelled = None
    else:
        trainer.max_steps, trainer.unfreeze = WAIT + WARMUP + config.debug.steps, None


def disable_regularisers(node: Any) -> None:
    """Set dropout, penalties and other regularisers to 0, in a node and all nodes below it."""
    for field in fields(node):
        value = getattr(node, field.name)
        if is_dataclass(value):
            disable_regularisers(value)
        elif field.name in REGULARISERS:
            setattr(node, field.name, 0.0)


def overfit(session: Session) -> float:
    """Train on a few rows until 2 % of their first loss is left; returns the last loss.

    Reports whether this was reached, and writes metrics.jsonl and overfit.json.
    """
    config, run, built, trainer = session.config, session.run, session.built, session.trainer
    trainer.data = one_batch(session.data, config.debug.rows)
    batch = next(trainer.data.train_batches(0))
    name, steps, rows = config.model.name, trainer.total_steps, len(batch.rows)
    log.info("%s: at most %d steps on the same %d rows of train, without dropout and penalties", name, steps, rows)
    losses: list[float] = []
    with ExitStack() as stack:
        observers = JsonLines(run.metrics_path), Console(steps, 0, "")
        trainer.observers = [stack.enter_context(closing(observer)) for observer in observers]
        for loss in make_steps(trainer, steps):
            losses.append(loss)
            trainer.tell({"train/loss": loss})
            if learned(losses):
                break
    scores = evaluate(built.model, built.head, built.task, [batch], built.device, config.trainer.precision).metrics
    result: dict[str, Any] = {"rows": rows, "steps": len(losses), "first_loss": losses[0], "last_loss": losses[-1]}
    result |= {"learned": learned(losses), "scores_of_these_rows": scores}
    write_json(run.path / "overfit.json", result)
    show(to_json({"run": str(run.path)} | result, indent=2), f"the result is in {run.path / 'overfit.json'}")
    if learned(losses):
        log.info("%s memorised %d rows in %d steps, as it should", name, rows, len(losses))
    else:
        log.warning(
            "%s did NOT memorise %d rows: after %d steps the loss is %.4g, at first it was %.4g. Try another "
            "trainer.lr, more debug.steps or a wider model; if nothing helps, check the model, its loss and the data",
            *(name, rows, len(losses), losses[-1], losses[0]),
        )
    return losses[-1]


def learned(losses: Sequence[float]) -> bool:
    """Whether the loss has fallen by at least 98 % of the first loss's absolute value."""
    return losses[0] - losses[-1] >= (1 - LEARNED_SHARE) * abs(losses[0])


def profile(session: Session) -> float:
    """Record a few steps, write their trace, and print the most expensive operators; returns the last loss."""
    config, trainer = session.config, session.trainer
    steps = trainer.total_steps - WAIT - WARMUP
    path = session.run.path / "steps.pt.trace.json.gz"  # the extension by which TensorBoard's plugin finds it
    cuda = trainer.device.type == "cuda"

    def finish(recorded: recording) -> None:
        recorded.export_chrome_trace(str(path))
        averages = recorded.key_averages()
        for key in ("self_cpu_time_total", *(["self_device_time_total"] if cuda else [])):
            print(averages.table(sort_by=key, row_limit=ROWS_SHOWN, max_name_column_width=40))

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    plan = schedule(wait=WAIT, warmup=WARMUP, active=steps, repeat=1)
    log.info("%s: %d steps recorded after %d others, on %s", config.model.name, steps, WAIT + WARMUP, trainer.device)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the Kineto library writes to stderr
    losses = []
    with recording(activities=activities, schedule=plan, on_trace_ready=finish) as recorder:
        for loss in make_steps(trainer, trainer.total_steps):
            losses.append(loss)
            recorder.step()
    print(f"trace of {steps} steps: {path} (open it at https://ui.perfetto.dev)")
    return losses[-1]


SHORT_RUNS: dict[DebugMode, Callable[[Session], float]] = {DebugMode.overfit: overfit, DebugMode.profile: profile}
"""Functions that replace training, scoring and reporting in debugging runs."""

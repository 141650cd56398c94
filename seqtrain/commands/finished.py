"""The results of a finished run, and resuming a run that has nothing left to do."""

import logging

from seqtrain.commands.final_table import final_table
from seqtrain.config.debug import DebugMode
from seqtrain.config.loading import differences
from seqtrain.config.root import Config
from seqtrain.console import show
from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.records import Results

log = logging.getLogger(__name__)


def show_finished(saved: Config, config: Config, run: RunDirectory) -> bool:
    """Say that a run is finished and print its final table, if all that it left is there and nothing is changed.

    Args:
        saved: the run's configuration.
        config: the same with changes.
        run: its directory.

    Returns:
        Whether that is so.
    """
    complete = run.predictions_path.exists() and run.checkpoint_path("best").exists()
    try:
        results = Results.read(run.results_path)
        finished = run.status.state == "finished"
    except RunError:  # resuming makes the results again, and says what is wrong with the status
        return False
    if not (finished and complete and results.monitor):
        return False
    # Conformal margins and a temperature belong to a checkpoint, and resuming is how they are made again.
    calibrated = any(getattr(config.task, name, None) for name in ("conformal", "temperature"))
    if calibrated or config.debug.mode is not DebugMode.none:
        return False
    if set(differences(saved, config)) - {"device"}:
        return False
    log.info("%s: already finished; its best checkpoint is of step %s", run.path, results.best_step)
    show(final_table(results), f"the results are in {run.results_path}")
    return True


def show_results(run: RunDirectory) -> None:
    """Print the final table of a run that has just been trained."""
    results = Results.read(run.results_path)
    text = f"{final_table(results)}\nbest checkpoint: step {results.best_step}; run directory: {run.path}"
    show(text, f"the results are in {run.results_path}")

"""The results of a finished run, and resuming a run that has nothing left to do."""

import logging

from seqtrain.commands.final_table import final_table
from seqtrain.config.debug import DebugMode
from seqtrain.config.loading import differences
from seqtrain.config.root import Config
from seqtrain.console import show
from seqtrain.runs.directory import RunDirectory
from seqtrain.runs.json_files import read_json, read_json_if_valid

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
    results = read_json_if_valid(run.results_path)
    complete = "monitor" in results and run.predictions_path.exists() and run.checkpoint_path("best").exists()
    if read_json_if_valid(run.status_path).get("state") != "finished" or not complete:
        return False
    # Margins of conformal intervals belong to a checkpoint, and resuming is how they are made again.
    if getattr(config.task, "conformal", None) is not None or config.debug.mode is not DebugMode.none:
        return False
    if set(differences(saved, config)) - {"device"}:
        return False
    log.info("%s: already finished; its best checkpoint is of step %s", run.path, results.get("best_step"))
    show(final_table(results), f"the results are in {run.results_path}")
    return True


def show_results(run: RunDirectory) -> None:
    """Print the final table of a run that has just been trained."""
    results = read_json(run.results_path)
    text = f"{final_table(results)}\nbest checkpoint: step {results['best_step']}; run directory: {run.path}"
    show(text, f"the results are in {run.results_path}")

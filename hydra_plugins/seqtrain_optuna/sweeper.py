"""The sweeper: an Optuna study whose trials are runs."""

import logging
import math
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.seqtrain_grid._overrides import literal
from hydra_plugins.seqtrain_grid.sweeper import LOCAL, launcher_of, quiet_launchers
from hydra_plugins.seqtrain_optuna.config import Direction, OptunaSweeperConfig
from seqtrain.config.base import require
from seqtrain.config.sweep import OnError
from seqtrain.console import results_are_files, show
from seqtrain.errors import ConfigError, Interrupted, Pruned, RunError, UserError

if TYPE_CHECKING:
    from optuna import Study, Trial

    from hydra_plugins.seqtrain_optuna._space import SearchSpace

log = logging.getLogger("seqtrain.study")  # `quiet_launchers` silences the loggers below hydra_plugins


class OptunaSweeper(Sweeper):
    """Runs the trials of a study in batches, with the launcher.

    Args:
        options: those of ``OptunaSweeperConfig``.
    """

    def __init__(self, **options: Any):
        plain = {key: OmegaConf.to_container(o) if OmegaConf.is_config(o) else o for key, o in options.items()}
        self.options = OptunaSweeperConfig(**plain)  # type: ignore[arg-type]  # Hydra has checked them
        self.extend: Callable[[DictConfig, Trial], None] | None = None
        self.failures = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check the options and create the launcher.

        Raises:
            ConfigError: if optuna is not installed, or an option is out of range.
        """
        from seqtrain.training.pruning import require_optuna

        require_optuna("hydra/sweeper=optuna")
        options = self.options
        for name in ("n_trials", "n_jobs"):
            value = getattr(options, name)
            require(value >= 1, f"hydra.sweeper.{name}", value, "at least 1")
        rate = options.max_failure_rate
        require(0 <= rate <= 1, "hydra.sweeper.max_failure_rate", rate, "in [0, 1]")
        if options.custom_search_space is not None:
            self.extend = load_function(options.custom_search_space)
        self.composed, self.loader = config, hydra_context.config_loader
        self.launch = launcher_of(config, hydra_context, task_function).launch

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until the study has ``n_trials``, then print the best one.

        Args:
            arguments: overrides from the command line, fixed or searched.

        Raises:
            ConfigError: if the search space, the direction or the storage is wrong.
            RunError: if too many trials have failed, or the storage does not answer.
        """
        from optuna.exceptions import StorageInternalError

        from hydra_plugins.seqtrain_optuna._space import SearchSpace
        from seqtrain.sweeps.ledger import Sweep
        from seqtrain.training.pruning import innermost

        results_are_files()
        configure_log(self.composed.hydra.hydra_logging, self.composed.hydra.verbose)
        space = SearchSpace.read(self.options.params, arguments, self.loader)
        direction = self.direction(space)
        sweep = Sweep(Path(str(self.composed.hydra.sweep.dir)).absolute())
        with sweep.locked(), quiet_launchers():
            sweep.write_plan(sys.argv[1:], [])
            try:
                self.optimise(space, direction, sweep.path)
            except Interrupted as error:
                error.add("the same command continues the study")
                raise
            except StorageInternalError as error:
                raise RunError(
                    f"hydra.sweeper.storage: {innermost(error)}; the same command continues in {sweep.path}"
                ) from error

    def direction(self, space: "SearchSpace") -> Direction:
        """Direction in which the task's monitored score improves, at the first point of the search space.

        Raises:
            ConfigError: if the options give the other direction.
            HydraException: if the point does not compose, for example because a key does not exist.
        """
        from seqtrain.config import registry

        tree = self.loader.load_sweep_config(self.composed, space.overrides(space.first_point()))
        maximize = registry.find("task", tree.task.kind).load().maximize
        needed = Direction.maximize if maximize else Direction.minimize
        given = self.options.direction
        if given not in (None, needed):
            raise ConfigError(
                f"hydra.sweeper.direction={given.name}: the score that task={tree.task.name} monitors must be "
                f"{needed.name}d; omit the direction"
            )
        return needed

    def optimise(self, space: "SearchSpace", direction: Direction, directory: Path) -> None:
        """Open the study and run its remaining trials."""
        from optuna.samplers import GridSampler

        from hydra_plugins.seqtrain_optuna import _study

        study, self.storage = _study.open_study(self.options, space, direction, directory)
        _study.close_lost_trials(study, directory)
        total = self.options.n_trials
        if isinstance(study.sampler, GridSampler):
            total = min(total, math.prod(len(values) for values in space.grid().values()))
        count = _study.count_trials(study)
        log.info("study %s: %d of %d trials, to %s", study.study_name, count, total, direction.name)
        while (left := total - _study.count_trials(study)) > 0:
            self.run(study, space, directory, min(left, self.options.n_jobs))
            _study.close_lost_trials(study)
        _study.save_results(study, directory / "optimization_results.yaml")
        show(_study.summary(study), f"see the trials with: seqtrain sweep {directory}")

    def run(self, study: "Study", space: "SearchSpace", directory: Path, count: int) -> None:
        """Run some trials in parallel and report their outcomes to the study.

        Raises:
            RunError: if more trials have failed than allowed.
        """
        from optuna.exceptions import StorageInternalError

        from hydra_plugins.seqtrain_optuna._study import close_trials, sending_heartbeats

        trials = [self.ask(study, space, directory) for _ in range(count)]
        open_trials = {trial.number for trial in trials}
        try:
            with sending_heartbeats(self.storage, trials), self.sharing(count):
                jobs = [self.job(trial, space, directory) for trial in trials]
                for trial, job in zip(trials, self.launch(jobs, trials[0].number), strict=True):
                    self.tell(study, trial, job)
                    open_trials.remove(trial.number)
        except (UserError, StorageInternalError):
            raise
        except Exception as error:  # for example a process died; its trial is unknown
            log.error("the launcher failed", exc_info=error)
            self.failures, self.last_error = self.failures + 1, error
        finally:
            close_trials(study, [trial for trial in study.get_trials(deepcopy=False) if trial.number in open_trials])
        allowed = self.options.max_failure_rate * self.options.n_trials
        if self.failures > (0 if self.composed.sweep.on_error is OnError.stop else allowed):
            raise RunError(
                f"study {study.study_name}: {self.failures} of {self.options.n_trials} trials failed, the last one by: "
                f"{self.last_error} (hydra.sweeper.max_failure_rate={self.options.max_failure_rate})"
            ) from self.last_error

    def sharing(self, count: int) -> AbstractContextManager[None]:
        """Context in which parallel trials on this machine share its cores."""
        from seqtrain.sweeps.sharing import num_cores, threads_of_children, threads_per_job

        local = self.composed.hydra.runtime.choices["hydra/launcher"] in LOCAL
        return threads_of_children(threads_per_job(num_cores(), count) if local else None)

    def ask(self, study: "Study", space: "SearchSpace", directory: Path) -> "Trial":
        """A new trial with its parameters."""
        from hydra_plugins.seqtrain_optuna._study import set_trial_attributes

        try:
            trial = study.ask(space.distributions)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"hydra.sweeper.sampler: needs the package {error.name}, which is not installed; pip install "
                "'seqtrain[optuna]'"
            ) from error
        except ValueError as error:
            raise ConfigError(
                f"hydra.sweeper.params: {error}; the study {study.study_name} was started with another search space: "
                "give another hydra.sweeper.study_name"
            ) from error
        set_trial_attributes(trial, directory, self.options.pruner)
        if self.extend is not None:
            self.extend(self.composed, trial)
        space.check_stored(trial.params, trial.study.study_name, directory)
        return trial

    def job(self, trial: "Trial", space: "SearchSpace", directory: Path) -> list[str]:
        """The overrides of a trial's run."""
        log.info("trial %d: %s", trial.number, " ".join(f"{key}={value}" for key, value in trial.params.items()))
        place = {"study": trial.study.study_name, "storage": self.storage.url}
        texts = {f"sweep.{key}": value for key, value in place.items()} | {"hydra.sweep.dir": str(directory)}
        written = cast(dict[str, Any], OmegaConf.to_container(self.composed.hydra.sweep))  # with its interpolations
        # Parallel jobs are numbered consecutively, but the numbers of trials may have gaps.
        subdir = QuotedString(written["subdir"].replace("${hydra.job.num}", str(trial.number)), Quote.single)
        quoted = [f"{key}={literal(text)}" for key, text in texts.items()]
        quoted.append(f"hydra.sweep.subdir={subdir.with_quotes()}")
        return [*space.overrides(trial.params), f"sweep.trial={trial.number}", *quoted]

    def tell(self, study: "Study", trial: "Trial", job: JobReturn) -> None:
        """Report the outcome of a trial's run to the study."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        from hydra_plugins.seqtrain_optuna._study import tell

        outcome = job._return_value  # the public property raises the error and prints it
        if isinstance(outcome, Pruned):
            log.info("trial %d pruned: %s", trial.number, outcome)
            tell(study, trial.number, state=TrialState.PRUNED)
        elif job.status is JobStatus.COMPLETED and isinstance(outcome, int | float) and math.isfinite(outcome):
            log.info("trial %d: score %.6g", trial.number, outcome)
            tell(study, trial.number, outcome)
        else:
            error = outcome if isinstance(outcome, Exception) else RunError(f"the run's score is {outcome}")
            if not isinstance(error, UserError):  # the job has printed those
                log.error("trial %d failed", trial.number, exc_info=error)
            with suppress(UpdateFinishedTrialError):
                trial.set_user_attr("error", f"{type(error).__name__}: {error}")
            tell(study, trial.number, state=TrialState.FAIL)
            self.failures, self.last_error = self.failures + 1, error


def load_function(path: str) -> Callable[..., None]:
    """The function that ``module.function`` names; raises ConfigError if it does not exist."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"hydra.sweeper.custom_search_space={path}: {error}; give <module>.<function>") from error

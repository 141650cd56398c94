"""Columns of TensorBoard's HParams page: the options in which runs differ, and the monitored scores.

TensorBoard shows the first five options and the first five metrics. Without a summary of the experiment, these are
whatever comes first by name.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtrain.errors import RunError
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.event_files import FINAL, naming
from seqtrain.training.tags import MONITORED, description, ordered

Option = bool | float | str

NAMES = ("data.name", "model.name", "task.name")
"""Options that say which kinds of runs there are."""
WITHOUT_DIFFERENCES = {*NAMES, "seed"}
"""Columns where the runs do not differ in any option."""
FOLLOWING = {"num_parameters"}
"""What is among the options of a run, and follows from others."""
SHARED = (f"best/{MONITORED}", f"test/{MONITORED}", "train/loss", "train/tokens_per_second", "train/grad_norm")
"""Scores that runs of all tasks have."""
FIRST_RECORDS = 50
"""Of an event file, among which the options are. Before them are scores of an evaluation, and the configuration."""


@dataclass(frozen=True)
class Row:
    """A run as the HParams page knows it."""

    options: dict[str, Option]
    monitor: str | None
    """Name of the monitored metric."""
    named: Callable[[str], str]
    """How tags are named in its event files."""


def read_row(run: Path) -> Row | None:
    """The row of a run; None as long as its event files have none."""
    for path in sorted(run.glob("events.out.tfevents.*")):
        if not path.name.startswith(FINAL) and path.is_file() and (options := read_options(path)):
            try:
                monitor = RunDirectory(run).status.monitor
            except RunError:
                monitor = None
            return Row(options, monitor and monitor.removeprefix("val/"), naming(run))
    return None


def read_options(path: Path) -> dict[str, Option]:
    """The options in an event file; empty if it has none yet, or is damaged before them."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data

    try:
        for _, record in zip(range(FIRST_RECORDS), RawEventFileLoader(str(path)).Load(), strict=False):
            for value in Event.FromString(record).summary.value:
                if value.tag == SESSION_START_INFO_TAG:
                    start = parse_session_start_info_plugin_data(value.metadata.plugin_data.content)
                    return {key: getattr(each, str(each.WhichOneof("kind"))) for key, each in start.hparams.items()}
    except Exception:  # of several kinds, by the place of the damage
        return {}
    return {}


def columns(rows: Sequence[Row]) -> Any:
    """The summary that tells TensorBoard which columns there are, and in which order."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    options = [
        option_column(key, values, shared=all(key in row.options for row in rows))
        for key, values in varying(rows).items()
    ]
    scores = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), description=text) for tag, text in metrics(rows).items()
    ]
    experiment = api_pb2.Experiment(hparam_infos=options, metric_infos=scores)
    content = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(experiment=experiment))
    value = Summary.Value(tag=metadata.EXPERIMENT_TAG, metadata=content, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])


def varying(rows: Sequence[Row]) -> dict[str, list[Option]]:
    """The options in which rows differ, with their values.

    These are those that say which kinds of runs there are, and those in which runs of one kind differ. Others only
    follow from the choice of data, model and task. An option that some of the runs do not have is no difference.
    """
    kinds: dict[tuple[Option | None, ...], list[Row]] = {}
    for row in rows:
        kinds.setdefault(tuple(row.options.get(name) for name in NAMES), []).append(row)
    groups = {key: [rows] if key in NAMES else list(kinds.values()) for row in rows for key in row.options}
    keys = {key for key in groups.keys() - FOLLOWING if any(len(values_of(key, group)) > 1 for group in groups[key])}
    return {key: values_of(key, rows) for key in sorted(keys or groups.keys() & WITHOUT_DIFFERENCES)}


def values_of(key: str, rows: Iterable[Row]) -> list[Option]:
    """The distinct values of an option, sorted."""
    values = {(type(value).__name__, value) for row in rows if (value := row.options.get(key)) is not None}
    return [value for _, value in sorted(values)]


def option_column(key: str, values: Sequence[Option], shared: bool) -> Any:
    """What TensorBoard knows of an option.

    Args:
        key: its name.
        values: its values. Those of several types are told apart as texts.
        shared: all runs have it. These come first, since a run without one of the first has no line.
    """
    from tensorboard.plugins.hparams import api_pb2

    types = {type(value) for value in values}
    info = api_pb2.HParamInfo(name=key, differs=shared)  # TensorBoard sorts by this, and then by name
    if types == {float}:
        info.type = api_pb2.DATA_TYPE_FLOAT64
        info.domain_interval.min_value, info.domain_interval.max_value = values[0], values[-1]
    else:
        info.type = api_pb2.DATA_TYPE_BOOL if types == {bool} else api_pb2.DATA_TYPE_STRING
        info.domain_discrete.extend(values)
    return info


def metrics(rows: Sequence[Row]) -> dict[str, str]:
    """Tags of the monitored scores with their descriptions.

    First come the best scores on validation, those on test, and the latest ones on validation, which runs have that
    are not finished. Runs of earlier versions have no best score in their events. A run without one of the first five
    scores has no line in parallel coordinates: where runs have several metrics, scores that all have come before.
    """
    counted = Counter((row.monitor, row.named) for row in rows if row.monitor is not None)
    found = {ordered(tag): description(tag) for tag in SHARED} if len({monitor for monitor, _ in counted}) > 1 else {}
    for group in ("best", "test", "val"):
        for (monitor, named), _ in counted.most_common():
            plain = f"{'val' if group == 'best' and named is str else group}/{monitor}"
            found.setdefault(named(plain), description(plain))
    return found

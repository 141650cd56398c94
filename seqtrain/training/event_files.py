"""Event files of TensorBoard: their names and order, and writing a whole one. Nothing here needs torch."""

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from seqtrain.atomic import replacing
from seqtrain.training.tags import ordered

FINAL = "events.out.tfevents.final"
"""Event file with what is known once training has ended. TensorBoard reads it last, as it comes last by name."""
EXPLANATION = f"{FINAL}-explanation"
"""Event file with the figures of an explanation, which comes after it."""

ORDERED = ".ordered"
"""End of the names of event files whose tags begin with the place of their group."""


def write_events(path: Path, summaries: Iterable[tuple[int, Any]]) -> None:
    """Write a whole event file, of summaries with their steps."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    events = [Event(file_version="brain.Event:2"), *(Event(step=step, summary=each) for step, each in summaries)]
    with replacing(path) as temporary, temporary.open("wb") as file:
        records = RecordWriter(file)
        for event in events:
            event.wall_time = time.time()
            records.write(event.SerializeToString())


def await_next_second(directory: Path) -> None:
    """Wait until a new event file comes after all that are there: TensorBoard reads them by name, and a name begins
    with the second.
    """
    while any(directory.glob(f"events.out.tfevents.{int(time.time()):010d}.*")):
        time.sleep(0.02)


def without_tensorflow() -> None:
    """Keep TensorBoard from loading TensorFlow where it is installed, to write and read files: 4 s and 600 MB."""
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))


def naming(directory: Path) -> Callable[[str], str]:
    """How the tags of a run are named in its events: a run keeps the names that it started with.

    Runs of earlier versions have the plain names; curves would break if they went on under others.
    """
    earlier = any(
        path.suffix != ORDERED and not path.name.startswith(FINAL) for path in directory.glob("events.out.tfevents.*")
    )
    return str if earlier else ordered

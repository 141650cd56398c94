"""Compare runs: a table of configurations, and the uncertainty of their differences. Reads only run directories."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from seqtrain.atomic import replacing
from seqtrain.comparison.report import Report, build_report
from seqtrain.comparison.text import group_csv, markdown, pair_csv, terminal
from seqtrain.config.base import require, suggest
from seqtrain.errors import ConfigError
from seqtrain.paths import expanded
from seqtrain.printable import escaped, escaped_lines

log = logging.getLogger(__name__)

FORMATS = {"terminal": ".txt", "markdown": ".md", "csv": ".csv", "html": ".html"}
SPLITS = ("test", "validation")


def compare(
    directories: Sequence[str],
    *,
    format: str | None = None,
    output: str | None = None,
    split: str | None = None,
    metric: str | None = None,
) -> Report:
    """Compare runs, and write the comparison to stdout or to a file.

    Args:
        directories: runs, or folders of runs.
        format: one of ``FORMATS``; None takes it from the output's extension, else terminal.
        output: file to write; None or - is stdout. For CSV, a second file beside it holds the pairs.
        split: test or validation; None takes test if all runs have it.
        metric: metric to compare by, or several separated by commas; None takes the one that chose the checkpoints.

    Raises:
        ConfigError: for a format, split, metric, directory or output that cannot be used.
        RunError: if a folder has no runs.
    """
    path = None if output in (None, "-") else expanded(str(output), "output")
    if format is None:
        by_suffix = {suffix: name for name, suffix in FORMATS.items()}
        format = by_suffix.get(path.suffix, "terminal") if path else "terminal"
    if format not in FORMATS:
        raise ConfigError(f"format={format}: no such format; {suggest(format, FORMATS)}")
    require(split is None or split in SPLITS, "split", split, " or ".join(SPLITS))
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise ConfigError(f"output={output}: {'is a folder' if path.is_dir() else 'its folder does not exist'}")
    report = build_report(directories, split, [name.strip() for name in metric.split(",")] if metric else [])
    texts = {
        Path("-") if path is None else path: render(
            report, format, directories, Path() if path is None else path.parent
        )
    }
    if format == "csv":
        for line in [*report.warnings, *(note for table in report.tables for note in table.notes)]:
            log.warning("%s", escaped(line))
        beside = Path("pairs") if path is None else path.with_name(f"{path.stem}-pairs{path.suffix}")
        texts[beside] = escaped_lines(pair_csv(report))
    if path is None:
        sys.stdout.write("\n".join(texts.values()))
        return report
    for target, text in texts.items():
        with replacing(target) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files need not be text
        log.info("%s: written", target)
    return report


def render(report: Report, format: str, directories: Sequence[str], folder: Path) -> str:
    """A comparison report as text, in one of ``FORMATS``; control characters from files of runs are escaped.

    Args:
        report: the report.
        format: the format.
        directories: where the runs are.
        folder: the folder that the text goes to, from which links go.
    """
    if format == "html":
        from seqtrain.comparison.page import page  # imports matplotlib

        return escaped_lines(page(report, directories, folder))
    return escaped_lines({"terminal": terminal, "markdown": markdown, "csv": group_csv}[format](report))

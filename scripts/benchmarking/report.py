"""Measured times as Markdown, JSON and a plot."""

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarking.turns import Case, Times, relative


def processor() -> str:
    """Name of the processor."""
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "an unknown processor"


def machine(threads: int) -> str:
    """One line with the processor, the threads and the package versions."""
    versions = []
    for package in ("torch", "numpy", "keras", "tensorflow-cpu", "tensorflow"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return (
        f"{processor()}, {os.cpu_count()} cores, {threads} threads; Python {platform.python_version()}, "
        + ", ".join(versions)
    )


def table(case: Case, measured: Mapping[str, Times]) -> str:
    """The results of a case as a Markdown table."""
    first = measured[case.contestants[0].name]
    lines = [
        f"| contestant | tokens/s, median | min-max | a token takes, {case.contestants[0].name} = 1 | min-max "
        "| seconds | padding | peak host memory (MB) | parameters |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, times in measured.items():
        rates = [1 / seconds for seconds in times.seconds_per_token]
        ratio, least, greatest = relative(times, first)
        work = times.work[-1]
        lines.append(
            f"| {name} | {statistics.median(rates):,.0f} | {min(rates):,.0f}-{max(rates):,.0f} | {ratio:.2f} "
            f"| {least:.2f}-{greatest:.2f} | {statistics.median(times.seconds):.1f} "
            f"| {1 - work.tokens / work.places:.1%} | {times.peak_memory:,.0f} | {times.parameters:,} |"
        )
    return "\n".join(lines)


def as_json(measured: Mapping[str, Times]) -> dict[str, Any]:
    """All measurements of each contestant, as JSON values."""
    return {name: asdict(times) for name, times in measured.items()}


def plot(path: Path, cases: Mapping[str, tuple[Case, Mapping[str, Times]]]) -> None:
    """Plot tokens per second as bars, with minimum and maximum as whiskers, in one panel for each case."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    heights = [len(measured) + 1.5 for _, measured in cases.values()]
    figure, panels = plt.subplots(
        len(cases),
        1,
        figsize=(9, 0.42 * sum(heights) + 0.3),
        squeeze=False,
        height_ratios=heights,
        layout="constrained",
    )
    for panel, (case, measured) in zip(panels[:, 0], cases.values(), strict=True):
        rates = [[1 / seconds for seconds in times.seconds_per_token] for times in measured.values()]
        medians = [statistics.median(found) for found in rates]
        errors = [
            [middle - min(found) for middle, found in zip(medians, rates, strict=True)],
            [max(found) - middle for middle, found in zip(medians, rates, strict=True)],
        ]
        own = [contestant.make == "tool:trainer" for contestant in case.contestants]
        colours = ["tab:blue" if is_own else "tab:gray" for is_own in own]
        panel.barh(list(measured), medians, xerr=errors, color=colours, height=0.7)
        panel.invert_yaxis()
        panel.set_title(case.title, fontsize=9, loc="left")
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set_xlabel("tokens per second; bars are medians, whiskers minimum and maximum", fontsize=8)
    figure.savefig(path, dpi=150)

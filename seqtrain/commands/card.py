"""The card of a run, for TensorBoard's page of texts: what was trained on what, where, and by which command."""

import shlex

import torch

from seqtrain.commands.session import Session
from seqtrain.config.loading import to_yaml
from seqtrain.models.summary import summary
from seqtrain.runs.environment import environment
from seqtrain.tasks.drawing import escape_markdown


def card(session: Session) -> dict[str, str]:
    """Texts in Markdown, by tag: the card, the model's modules, and the configuration."""
    parts = {"model": session.built.model, "head": session.built.head}
    return {
        "run/card": "\n".join(card_lines(session)),
        "run/model": summary(parts),
        "run/config": f"```yaml\n{to_yaml(session.config)}```",
    }


def card_lines(session: Session) -> list[str]:
    """The card, line by line."""
    config, data, built, trainer = session.config, session.data, session.built, session.trainer
    made = environment()
    device = str(built.device)
    if built.device.type == "cuda":
        device += f" ({torch.cuda.get_device_name(built.device)})"
    packages = {"python": made["python"], **made["packages"]}
    rows = {
        "model": f"{config.model.name}, {built.num_parameters:,} parameters",
        "data": f"{config.data.name}: " + ", ".join(f"{size:,} {split}" for split, size in data.sizes.items()),
        "task": f"{config.task.name}, chosen by {built.task.monitor} on validation",
        "training": f"{trainer.total_steps:,} steps, seed {config.seed}",
        "device": device + (f", {trainer.ranks.size} processes" if trainer.ranks.size > 1 else ""),
        "machine": f"{made['platform']}, {made['cpus']} CPUs",
        "versions": ", ".join(f"{name} {version}" for name, version in packages.items() if version),
        "commit": made["git_commit"] or "not known",
        "directory": str(session.run.path),
        "fingerprint of the data": data.fingerprint,
    }
    table = [f"| {name} | {escape_markdown(str(value))} |" for name, value in rows.items()]
    command = ["**Command**, in " + escape_markdown(made["directory"]), "", *indented(shlex.join(made["command"]))]
    notes = ["**How the data was read**", "", *(f"- {escape_markdown(note)}" for note in data.notes)]
    lines = [f"# {escape_markdown(config.model.name)} on {escape_markdown(config.data.name)}", ""]
    return [*lines, "| | |", "| --- | --- |", *table, "", *command, *(["", *notes] if data.notes else [])]


def indented(text: str) -> list[str]:
    """A text as a block of code, whatever it holds."""
    return [f"    {line}" for line in text.splitlines()]

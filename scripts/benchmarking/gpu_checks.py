"""The checks of scripts/check-gpu, each run as a process: python -m benchmarking.gpu_checks <part> <device> [minutes].

The last line that a check prints is its result as JSON.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarking.tool import bare_steps, composed
from benchmarking.worker import gpu_memory, wait_for_gpu
from seqtrain.commands.check_resume import check_resume
from seqtrain.commands.session import start
from seqtrain.errors import UserError
from seqtrain.kernels.machine import bf16_products
from seqtrain.runs.directory import RunDirectory
from seqtrain.training.ranks import SOLO

TASKS: dict[str, list[str]] = {
    "classification": ["data=docstrings", "model=gru_attn"],
    "labelling": ["data=reverse", "model=lstm", "model.hidden_size=64"],
    "regression": ["data=adding", "model=gru", "data.length=50"],
    "language": ["data=stdlib", "model=lstm", "model.weight_drop=0.2", "data.batch_size=16"],
    "forecasting": ["data=sine", "model=gru_seq2seq_attn", "data.length=2000"],
    "segments": ["data=sine", "model=segrnn", "model.segment_length=4", "data.length=2000"],
    "self-attention": ["data=docstrings", "model=self_attn"],
}
NO_DROPOUT = ["model.dropout=0", "model.embedding.dropout=0", "model.weight_drop=0"]
STEPS, TOLERANCE = 8, 2e-3
"""Losses of the first STEPS steps in fp32 may differ between device and CPU by this share (TOLERANCE)."""
PARTS_STEPS = 20
WIKITEXT2_TOKENS = 2_088_628
"""Number of tokens in train, which is one epoch."""


def resume_exactly(device: str, minutes: float) -> dict[str, Any]:
    """Run check-resume for each task, in fp32 and bf16."""
    found: dict[str, Any] = {}
    half = ["bf16"] if device != "cpu" or bf16_products() else []
    for name, overrides in TASKS.items():
        for precision in ("fp32", *half):
            with tempfile.TemporaryDirectory() as folder:
                own = [*overrides, f"device={device}", f"trainer.precision={precision}", "trainer.deterministic=true"]
                try:
                    equal = check_resume(composed(own), 3, Path(folder))
                    found[f"{name}, {precision}"] = f"equal in {equal} tensors and numbers"
                except (UserError, RuntimeError) as error:
                    found[f"{name}, {precision}"] = f"FAILED: {error}"
    return found


class Losses:
    """An observer that keeps the training loss of each step."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def scalars(self, step: int, values: dict[str, float]) -> None:
        if "train/loss" in values:
            self.found.append(values["train/loss"])

    def media(self, step: int, figures: dict[str, Any], texts: dict[str, str]) -> None:
        pass

    def histograms(self, step: int, values: dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


def losses(overrides: list[str], device: str) -> list[float]:
    """Training losses of the first STEPS steps, without dropout."""
    short = [f"trainer.max_steps={STEPS}", "trainer.log_every=1", "trainer.figures=false", f"device={device}"]
    known = composed(overrides).model
    own = [option for option in NO_DROPOUT if has(known, option)]
    drawn = [option for option in overrides if "weight_drop" not in option]
    with tempfile.TemporaryDirectory() as folder:
        session = start(composed([*drawn, *own, *short]), RunDirectory.claim(Path(folder, "run"), exact=True), SOLO)
        session.trainer.observers = [observer := Losses()]
        session.trainer.fit()
    return observer.found


def has(node: Any, option: str) -> bool:
    """Whether a model's config has the key of an override."""
    for part in option.partition("=")[0].split(".")[1:]:
        if not hasattr(node, part):
            return False
        node = getattr(node, part)
    return True


def equal_to_cpu(device: str, minutes: float) -> dict[str, Any]:
    """Compare the first losses of each task on the device and on the CPU, with the same weights and batches."""
    found: dict[str, Any] = {}
    for name, overrides in TASKS.items():
        ours, cpus = losses(overrides, device), losses(overrides, "cpu")
        worst = max(abs(a - b) / max(abs(b), 1e-6) for a, b in zip(ours, cpus, strict=True))
        verdict = "equal" if worst <= TOLERANCE else "FAILED"
        found[name] = f"{verdict}: losses of {len(ours)} steps differ by at most {worst:.1e}"
    return found


def time_per_part(device: str, minutes: float) -> dict[str, Any]:
    """Time of each part of a bare step (ms), with a wait for the device after each part."""
    found: dict[str, Any] = {}
    for name in ("classification", "language"):
        spent: dict[str, float] = {}
        last = time.perf_counter()

        def clock(part: str) -> None:
            nonlocal last
            wait_for_gpu()
            now = time.perf_counter()
            spent[part] = spent.get(part, 0.0) + now - last  # noqa: B023
            last = now

        start, step, _ = bare_steps([*TASKS[name], f"device={device}"], clock=clock)
        for number, batch in enumerate(start(0).data.train_batches(0)):
            if number == PARTS_STEPS + 3:
                break
            if number == 3:  # the first steps compile and choose kernels, and do not count
                spent.clear()
            clock("batch")
            step(batch)
        found[name] = {part: round(1000 * seconds / PARTS_STEPS, 3) for part, seconds in spent.items()}
        found[f"{name}, peak MB on the device"] = round(gpu_memory())
    return found


def several_processes(device: str, minutes: float) -> dict[str, Any]:
    """Check distributed training with one process: NCCL on a GPU, gloo on a CPU."""
    os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT="29519")
    backend = "nccl" if device != "cpu" else "gloo"
    torch.distributed.init_process_group(backend)
    try:
        layer = torch.nn.parallel.DistributedDataParallel(torch.nn.LSTM(8, 8).to(device))
        layer(torch.randn(3, 2, 8, device=device))[0].sum().backward()
        total = torch.ones(4, device=device)
        torch.distributed.all_reduce(total)
        wait_for_gpu()
        grads = [p.grad for p in layer.parameters()]
        fine = bool((total == 1).all()) and all(g is not None and bool(g.isfinite().all()) for g in grads)
    finally:
        torch.distributed.destroy_process_group()
    return {backend: "gradients and sums are correct" if fine else "FAILED: wrong sums or gradients"}


def awd_lstm(device: str, minutes: float) -> dict[str, Any]:
    """Train the AWD-LSTM recipe for some minutes: tokens per second, and the estimated time of its 90 epochs."""
    root = os.environ.get("SEQTRAIN_DATA_DIR")
    real = bool(root) and Path(str(root), "wikitext2").is_dir()
    data = [] if real else ["data=stdlib", "data.tokenizer=word", "data.batch_size=80", "data.bptt_len=70"]
    overrides = ["+experiment=wikitext2_awd_lstm", *data, f"device={device}"]
    started, tokens, seconds, steps = time.perf_counter(), 0, 0.0, 0
    start, step, parameters = bare_steps(overrides)
    counted = start(0)
    for number, batch in enumerate(counted.data.train_batches(0)):
        step_started = time.perf_counter()
        step(batch)
        wait_for_gpu()
        if number >= 2:
            tokens, seconds, steps = tokens + batch.num_tokens, seconds + time.perf_counter() - step_started, steps + 1
        if steps and time.perf_counter() - started > 60 * minutes:
            break
    rate = tokens / seconds
    return {
        "data": "wikitext2" if real else "stdlib, since wikitext2 is missing",
        "parameters": parameters,
        "steps": steps,
        "tokens/s": round(rate),
        "90 epochs of wikitext2 would take": f"{90 * WIKITEXT2_TOKENS / rate / 3600:.1f} h",
        "peak MB on the device": round(gpu_memory()),
    }


CHECKS: dict[str, Callable[[str, float], dict[str, Any]]] = {
    "check-resume": resume_exactly,
    "equal to the CPU": equal_to_cpu,
    "time per part, ms": time_per_part,
    "distributed": several_processes,
    "AWD-LSTM": awd_lstm,
}

if __name__ == "__main__":
    part, on, limit = sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    print(json.dumps(CHECKS[part](on, limit)))

"""Learning-rate schedules: pure functions of the step."""

import math

from seqtrain.config.trainer import Schedule, TrainerConfig

ONE_CYCLE_START = 1 / 25  # of the highest rate, as in torch's OneCycleLR


def learning_rate(config: TrainerConfig, step: int, total_steps: int) -> float:
    """The learning rate of a step.

    Args:
        config: ``lr`` (the highest rate), ``schedule``, its warmup and ``final_lr_fraction``.
        step: number of steps already made, from 0 to ``total_steps`` - 1.
        total_steps: number of steps of the whole run; the last one has the schedule's final rate.

    Returns:
        ``constant``, ``linear`` and ``cosine`` first rise linearly over ``warmup_steps`` steps, or a quarter of the
        run if that is less; the last of them has the full rate. ``one_cycle`` rises from lr / 25 along a cosine over
        ``warmup_fraction`` of the run, then falls along a cosine (Smith and Topin 2018, as in torch's OneCycleLR).
    """
    last = total_steps - 1
    if config.schedule is Schedule.one_cycle:
        peak = config.warmup_fraction * last
        if step <= peak and peak > 0:
            return config.lr * cosine(ONE_CYCLE_START, 1.0, step / peak)
        return config.lr * cosine(1.0, config.final_lr_fraction, (step - peak) / max(last - peak, 1))
    warmup = warmup_steps(config, total_steps)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    progress = min((step - warmup) / max(last - warmup, 1), 1.0)
    if config.schedule is Schedule.linear:
        return config.lr * (1.0 + (config.final_lr_fraction - 1.0) * progress)
    if config.schedule is Schedule.cosine:
        return config.lr * cosine(1.0, config.final_lr_fraction, progress)
    return config.lr


def warmup_steps(config: TrainerConfig, total_steps: int) -> int:
    """Steps over which the rate rises: those of the config, but at most a quarter of the run."""
    return min(config.warmup_steps, total_steps // 4)


def cosine(start: float, end: float, progress: float) -> float:
    """Value between ``start`` and ``end`` along half a cosine; ``progress`` is in [0, 1]."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2

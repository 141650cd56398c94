"""Checks whether the compiled kernels of a run can be used, and waits for their compilation."""

import logging

from seqtrain.commands.build import Built
from seqtrain.config.root import Config
from seqtrain.config.sequence import Kernel
from seqtrain.errors import ConfigError
from seqtrain.kernels.compile import compilers, library, missing_compiler, unavailable
from seqtrain.layers.fused import kernels_of
from seqtrain.training.device import prepare_device

log = logging.getLogger(__name__)


def requires_fused(config: Config) -> bool:
    """Whether the configuration requires the fused kernels (``model.kernel=fused``)."""
    return getattr(config.model, "kernel", None) is Kernel.fused


def check_kernel(config: Config) -> None:
    """Raise ConfigError if the fused kernels are required but cannot be used."""
    if not requires_fused(config):
        return
    device = prepare_device(config.device)
    if device.type != "cpu":
        raise ConfigError(
            f"model.kernel=fused: is only for the CPU, and the device is {device}; use auto, or device=cpu"
        )
    if not compilers():
        raise ConfigError(f"model.kernel=fused: {missing_compiler()}; or use auto")


def prepare_kernels(config: Config, built: Built) -> None:
    """Wait until the kernels of a model are compiled, before its first step.

    A run that started with torch's layers and then switched to the kernels would depend on the speed of the compiler,
    since the two differ by rounding.

    Raises:
        ConfigError: if the kernels are required and cannot be compiled.
    """
    if built.device.type != "cpu":
        return
    names = kernels_of(built.model)
    if requires_fused(config) and (reason := unavailable(names)):
        raise ConfigError(f"model.kernel=fused: {reason}; fix that, or use auto")
    for name in names:
        library(name)

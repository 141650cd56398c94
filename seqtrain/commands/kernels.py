"""The compiled kernels that a run needs: whether they can be used, and waiting for them."""

import logging

from seqtrain.commands.build import Built
from seqtrain.config.model import Kernel
from seqtrain.config.root import Config
from seqtrain.errors import ConfigError
from seqtrain.kernels.compile import compilers, library, missing_compiler, unavailable
from seqtrain.layers.fused import units_of
from seqtrain.training.device import prepare_device

log = logging.getLogger(__name__)


def requires_fused(config: Config) -> bool:
    """Whether the fused kernels are asked for by name."""
    return getattr(config.model, "kernel", None) is Kernel.fused


def check_kernel(config: Config) -> None:
    """Raise ConfigError if the fused kernels are asked for by name where they cannot be used."""
    if not requires_fused(config):
        return
    device = prepare_device(config.device)
    if device.type != "cpu":
        raise ConfigError(f"model.kernel=fused: is for the CPU, and the device is {device}; use auto, or device=cpu")
    if not compilers():
        raise ConfigError(f"model.kernel=fused: {missing_compiler()}; or use auto")


def prepare_kernels(config: Config, built: Built) -> None:
    """Wait until the kernels of a model are compiled, so that its first step does not.

    A run that begins with torch's layers and goes on with the kernels would depend on the speed of the compiler: the
    two differ by rounding.

    Raises:
        ConfigError: if they are asked for by name and cannot be compiled.
    """
    if built.device.type != "cpu":
        return
    units = units_of(built.model)
    if requires_fused(config) and (reason := unavailable(units)):
        raise ConfigError(f"model.kernel=fused: {reason}; mend that, or use auto")
    for unit in units:
        library(unit)

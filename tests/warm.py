"""What the fork server of `tests/command_line.py` imports and computes once, so that no command has to do it again."""

import gc
import pkgutil
from importlib import import_module

from hydra import compose, initialize_config_dir

import seqtrain
from seqtrain.cli.hydra_setup import conf_directory, store_schemas

IMPORTED_WHERE_NEEDED = [
    "alembic.command", "colorama", "hydra._internal.logging_config", "matplotlib.backends.backend_agg",
    "matplotlib.figure", "matplotlib.image", "matplotlib.projections", "pandas", "PIL.PngImagePlugin", "scipy.stats",
    "sklearn.feature_extraction.text", "sklearn.linear_model", "sqlalchemy.orm",
    "tensorboard.plugins.hparams.metadata", "torch._dynamo", "torch.distributed",
    "torch.fx.experimental.symbolic_shapes", "torch.profiler._cupti_monitor", "torch.utils.serialization.config",
    "torch.utils.tensorboard.writer",
]  # fmt: skip
"""Libraries that are imported inside functions. The first step of an optimizer imports ``torch._dynamo``: 1 to 3 s."""

for module in pkgutil.walk_packages(seqtrain.__path__, "seqtrain."):
    if not module.name.endswith("__main__"):
        import_module(module.name)
for name in IMPORTED_WHERE_NEEDED:
    import_module(name)
store_schemas()
with initialize_config_dir(str(conf_directory()), version_base="1.3"):
    compose("train", overrides=["data=stdlib", "model.dropout=0.1"])  # Hydra's plugins, and its parsers of overrides
gc.collect()
gc.freeze()  # a collection in a fork would copy every page that it looks at
gc.set_threshold(20_000)

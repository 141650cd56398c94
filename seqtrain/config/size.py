"""The dial ``size``: one word for width, dropout, learning rate and length, which depend on what is trained."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from seqtrain.config.corpus import SegmentConfig
from seqtrain.config.data import TextClassificationConfig
from seqtrain.errors import ConfigError

SERVED = {"classifier": TextClassificationConfig, "language_model": SegmentConfig}
"""What the dial has values for, by the data that it is trained on."""


def for_text(values: dict[str, Any], *, _root_: DictConfig) -> Any:
    """The value for what a composed configuration trains: the resolver ``${for_text:{classifier:1,language_model:2}}``.

    Args:
        values: by the names in ``SERVED``.

    Raises:
        ConfigError: if the configuration trains something else; names the data.
    """
    data = OmegaConf.get_type(_root_, "data")
    for name, schema in SERVED.items():
        if data is not None and issubclass(data, schema):
            return values[name]
    raise ConfigError(
        f"size={_root_.size}: is for text classifiers and language models, not for data={_root_.data.name}; "
        "leave it out, and choose budget.params, model.dropout, trainer.lr and trainer.epochs"
    )

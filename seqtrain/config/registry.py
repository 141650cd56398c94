"""The registry: for each group its kinds, each with a schema and the class that is built from it.

A plugin package adds its own kinds. Its entry point in the group ``seqtrain.plugins`` names a function that calls
``register`` for each kind, and ``register_folder`` for the YAML files that use them.
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from seqtrain.config import (
    corpus,
    data,
    encoder_decoder,
    linear,
    pairs,
    recurrent,
    segment,
    self_attention,
    series,
    series_classes,
    task,
    translation,
)
from seqtrain.config.base import Node, suggest
from seqtrain.config.trainer import TrainerConfig
from seqtrain.errors import ConfigError


@dataclass(frozen=True)
class Registration:
    """A schema, and as ``module:Class`` what is built from it (imported only then)."""

    schema: type[Node]
    target: str
    statistics: str | None = None
    """Of a task: its ``TaskStatistics``, as ``module:NAME``."""

    def load(self) -> Any:
        """Import the class that ``target`` names."""
        return load_object(self.target)

    def load_statistics(self) -> Any:
        """Import the statistics; None if none are registered."""
        return None if self.statistics is None else load_object(self.statistics)


def load_object(target: str) -> Any:
    """Import an object by its name ``module:name``."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


REGISTRY: dict[str, dict[str, Registration]] = {"data": {}, "task": {}, "model": {}, "trainer": {}}
FOLDERS: list[Path] = []  # with YAML files of plugins, searched besides conf/


def register(group: str, kind: str, schema: type[Node], target: str, statistics: str | None = None) -> None:
    """Make ``kind`` known in a group; a YAML file names it by ``/schema/<group>/<kind>@_here_`` in its defaults.

    Args:
        group: ``data``, ``task``, ``model`` or ``trainer``.
        kind: its name there.
        schema: dataclass of its options.
        target: class that is built from them, as ``module:Class``.
        statistics: of a task, the ``TaskStatistics`` by which ``compare`` reads its runs, as ``module:NAME``.

    Raises:
        ConfigError: if the kind is registered as something else.
    """
    new = Registration(schema, target, statistics)
    if REGISTRY[group].get(kind, new) != new:
        raise ConfigError(f"{group} kind {kind!r} is registered twice: as {REGISTRY[group][kind].target} and {target}")
    REGISTRY[group][kind] = new


def register_folder(folder: Path) -> None:
    """Add a folder of YAML files, laid out like conf/: ``model/<name>.yaml`` becomes ``model=<name>``."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; check that the package's data includes it")
    if folder not in FOLDERS:
        FOLDERS.append(folder)


def find(group: str, kind: str) -> Registration:
    """The registered kind; raises ConfigError, which names the known kinds, if there is none."""
    if kind not in REGISTRY[group]:
        raise ConfigError(f"{group}.kind={kind!r}: not a registered kind; {suggest(kind, REGISTRY[group])}")
    return REGISTRY[group][kind]


@cache
def load_plugins() -> None:
    """Load all installed plugins, which register their kinds.

    Raises:
        ConfigError: if a plugin cannot be imported or fails; names the plugin.
    """
    for entry in entry_points(group="seqtrain.plugins"):
        try:
            entry.load()()
        except Exception as error:
            package = entry.dist.name if entry.dist else entry.module
            raise ConfigError(
                f"plugin {entry.name} ({entry.value}) of the package {package}: {type(error).__name__}: {error}; "
                f"fix it or uninstall {package}"
            ) from error


register("data", "hub_text", data.HubTextConfig, "seqtrain.data.text.public:HubText")
register("data", "text_files", data.TextFilesConfig, "seqtrain.data.text.files:TextFiles")
register("data", "docstrings", data.DocstringsConfig, "seqtrain.data.text.docstrings:Docstrings")
register("data", "generated", data.GeneratedConfig, "seqtrain.data.generated.dataset:Generated")
register("data", "tagging_files", data.TaggingFilesConfig, "seqtrain.data.tags.dataset:TaggingFiles")
register("data", "pair_files", pairs.PairFilesConfig, "seqtrain.data.pairs.public:PairFiles")
register("data", "hub_pairs", pairs.HubPairsConfig, "seqtrain.data.pairs.public:HubPairs")
register("data", "public_corpus", corpus.PublicCorpusConfig, "seqtrain.data.corpus.dataset:RunningText")
register("data", "text_corpus", corpus.TextCorpusConfig, "seqtrain.data.corpus.dataset:RunningText")
register("data", "library_corpus", corpus.LibraryCorpusConfig, "seqtrain.data.corpus.dataset:RunningText")
register("data", "text_documents", corpus.TextDocumentsConfig, "seqtrain.data.corpus.document_dataset:Documents")
register("data", "public_documents", corpus.PublicDocumentsConfig, "seqtrain.data.corpus.document_dataset:Documents")
register(
    "data", "docstring_documents", corpus.DocstringDocumentsConfig, "seqtrain.data.corpus.document_dataset:Documents"
)
register("data", "public_series", series.PublicSeriesConfig, "seqtrain.data.series.dataset:ForecastingData")
register("data", "series_files", series.SeriesFilesConfig, "seqtrain.data.series.dataset:ForecastingData")
register("data", "generated_series", series.GeneratedSeriesConfig, "seqtrain.data.series.dataset:ForecastingData")
register(
    "data", "series_classes", series_classes.SeriesClassesConfig, "seqtrain.data.series_classes.dataset:SeriesClasses"
)
for kind, schema, room, name in (
    ("classification", task.ClassificationConfig, "classification", "Classification"),
    ("multilabel", task.MultilabelConfig, "multilabel", "MultilabelClassification"),
    ("sequence_regression", task.SequenceRegressionConfig, "regression", "SequenceRegression"),
    ("sequence_labelling", task.SequenceLabellingConfig, "labelling", "SequenceLabelling"),
    ("language_modelling", task.LanguageModellingConfig, "language", "LanguageModelling"),
    ("forecasting", task.ForecastingConfig, "forecasting", "Forecasting"),
    ("translation", translation.TranslationConfig, "translation", "Translation"),
):
    module = f"seqtrain.tasks.{room}"
    register("task", kind, schema, f"{module}.task:{name}", statistics=f"{module}.statistics:STATISTICS")
for kind, options, name in (
    ("linear", linear.LinearConfig, "LinearModel"),
    ("segment", segment.SegmentConfig, "SegmentModel"),
    ("recurrent", recurrent.RecurrentConfig, "RecurrentModel"),
    ("recurrent_convolution", recurrent.RecurrentConvolutionConfig, "RecurrentConvolutionModel"),
    ("encoder_decoder", encoder_decoder.EncoderDecoderConfig, "EncoderDecoderModel"),
    ("translator", encoder_decoder.TranslatorConfig, "Translator"),
    ("attention_translator", encoder_decoder.AttentionTranslatorConfig, "AttentionTranslator"),
    ("self_attention", self_attention.SelfAttentionConfig, "SelfAttentionModel"),
):
    register("model", kind, options, f"seqtrain.models.{kind}:{name}")
register("trainer", "trainer", TrainerConfig, "seqtrain.training.trainer:Trainer")

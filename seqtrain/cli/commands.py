"""The commands that start from a run: their arguments and their help.

Commands, and with them torch, are imported once the configuration is known to be sound.
"""

import sys
from collections.abc import Sequence

from seqtrain.cli.arguments import (
    Parsers,
    finite_number,
    gives,
    own_values,
    parse_bool,
    parsed,
    run_config,
    split_arguments,
    whole_number,
)
from seqtrain.cli.composing import several_processes
from seqtrain.commands.memory import within_memory
from seqtrain.config.base import require
from seqtrain.console import results_are_files
from seqtrain.errors import ConfigError, RunError
from seqtrain.paths import expanded, read_input
from seqtrain.runs.directory import RunDirectory
from seqtrain.sweeps.ledger import Sweep
from seqtrain.sweeps.table import show


def resume(arguments: Sequence[str]) -> None:
    """Resume a run from its last checkpoint.

    seqtrain resume=<run> [trainer.epochs=N] [device=...]

    epochs may be raised where the learning-rate schedule does not depend on it.
    """
    results_are_files()
    literal, overrides = split_arguments(arguments, "resume")
    run = RunDirectory.open(literal["resume"], "resume")
    saved, config = run_config(run, overrides)
    if several_processes():
        from seqtrain.commands.distributed import resume_distributed

        resume_distributed(saved, config, run)
        return
    from seqtrain.commands.finished import show_finished

    if show_finished(saved, config, run):
        return
    with run.locked():
        from seqtrain.commands.train import resume

        resume(saved, config, run)


def sweep(arguments: Sequence[str]) -> None:
    """Show the jobs of a sweep: where each stands, its best score, time, steps and error.

    seqtrain sweep <dir> [watch=true|false]

    With watch, as is usual on a terminal, the table is renewed every 2 s until the sweep ends.
    """
    values, directories = own_values(arguments, ["watch"])
    if len(directories) != 1 or (directories[0].startswith("-") and not expanded(directories[0]).exists()):
        raise ConfigError(f"sweep {' '.join(arguments)}: expected one directory, and watch=true or false")
    watch = parsed("watch", values["watch"][-1], parse_bool) if "watch" in values else sys.stdout.isatty()
    path = expanded(directories[0])
    if not path.is_dir():
        raise RunError(f"{path}: no such directory")
    watched = Sweep(path)
    if not watched.jobs():
        raise RunError(f"{path}: is not the directory of a sweep (no sweep.json in it, and no runs)")
    show(watched, watch=watch)


def evaluate(arguments: Sequence[str]) -> None:
    """Print the scores of a run's model, as JSON.

    seqtrain eval run=<run> [split=test|validation|train] [checkpoint=best|last] [data.path=...] [device=...]

    split is test where the data has one, else validation; of a file given as data.path all rows are scored.
    """
    literal, overrides = split_arguments(arguments, "run", split=None, checkpoint="best")
    run = RunDirectory.open(literal["run"], ensembles=True)
    saved, config = run_config(run, overrides)
    from seqtrain.commands.evaluate import evaluate
    from seqtrain.commands.members import evaluate_ensemble

    options = {key: literal[key] for key in ("split", "checkpoint")}
    score = evaluate_ensemble if run.is_ensemble else evaluate
    with within_memory(config, trained=True):
        score(saved, config, run, other_data=gives(overrides, "data.path"), **options)


def predict(arguments: Sequence[str]) -> None:
    """Add predictions to the rows of a file, or forecast what follows them.

    seqtrain predict run=<run> input=<file> [output=<file>] [checkpoint=best|last] [data.text_column=...] [device=...]

    A classifier adds a prediction and one probability per class to the input's columns; a tagger the labels of the
    tokens; a regression a number. A language model writes the tokens of a text with their log-probabilities; a
    forecaster the data.horizon steps after the end of each series. Files: csv, tsv, jsonl, parquet, txt (input only;
    for a classifier one text a line); for a tagger also conll; of series the input is csv or parquet; - is stdin (of a
    tagger a sentence a line, of series csv) and, as jsonl, stdout.
    """
    literal, overrides = split_arguments(arguments, "run", "input", output="-", checkpoint="best")
    run = RunDirectory.open(literal["run"], ensembles=True)
    saved, config = run_config(run, overrides)
    from seqtrain.commands.predict import predict

    with within_memory(config, f"input={literal['input']}", trained=True):
        predict(saved, config, run, literal["input"], literal["output"], checkpoint=literal["checkpoint"])


def explain(arguments: Sequence[str]) -> None:
    """Say which steps of the inputs predictions rest on, and how faithful that is.

    seqtrain explain run=<run> [input=<file>] [split=test|validation|train] [rows=200] [output=<file>]
        [methods=attention,gradient_input,integrated_gradients,occlusion] [removal=delete|unk|mean|season]
        [checkpoint=best|last] [device=...]

    The scores say how far the prediction falls when the most important steps are removed, beside random steps. Steps
    are tokens of a text, deleted (or made unknown: unk), or steps of a series, replaced by the mean of the window (or
    the value a season before). output, jsonl or parquet, gets a row with the attributions of each row explained. The
    scores of the run's own data are kept in the run, and compare shows them.
    """
    own = dict.fromkeys(["input", "split", "methods", "removal", "rows", "output"])
    literal, overrides = split_arguments(arguments, "run", checkpoint="best", **own)
    run = RunDirectory.open(literal["run"])
    saved, config = run_config(run, overrides)
    rows = None if literal["rows"] is None else parsed("rows", literal["rows"], whole_number)
    from seqtrain.commands.explain import explain

    options = {key: literal[key] for key in ("split", "methods", "removal", "output", "checkpoint")}
    with within_memory(config, trained=True):
        explain(
            saved, config, run, source=literal["input"], rows=rows, other_data=gives(overrides, "data.path"), **options
        )


def backtest(arguments: Sequence[str]) -> None:
    """Print the scores of a run's forecasts from origins that roll over a split, as JSON.

    seqtrain backtest run=<run> [split=test|validation] [stride=1] [refit=<k>] [output=<file>] [checkpoint=best|last]
        [data.path=...] [device=...]

    There is an origin every stride steps; with 1 the scores are those of eval. With refit, a model is trained for every
    k origins of a series, on the rows before them, as long as the run was. output, csv, tsv, jsonl or parquet, gets a
    row for each origin, series, step and variable. Of a file given as data.path all rows are forecast.
    """
    own: dict[str, str | None] = {"split": None, "stride": "1", "refit": None, "output": None, "checkpoint": "best"}
    literal, overrides = split_arguments(arguments, "run", **own)
    run = RunDirectory.open(literal["run"])
    saved, config = run_config(run, overrides)
    stride = parsed("stride", literal["stride"], whole_number)
    refit = None if literal["refit"] is None else parsed("refit", literal["refit"], whole_number)
    from seqtrain.commands.backtest import backtest

    options = {key: literal[key] for key in ("split", "output", "checkpoint")}
    with within_memory(config, trained=True):
        backtest(saved, config, run, stride=stride, refit=refit, other_data=gives(overrides, "data.path"), **options)


def generate(arguments: Sequence[str]) -> None:
    """Continue a text with a run's language model.

    seqtrain generate run=<run> [prompt=<text> | prompt_file=<file>] [max_tokens=200] [num_samples=1] [seed=0]
        [greedy=true] [temperature=1.0] [top_k=<k>] [top_p=1.0] [repetition_penalty=1.0] [stop=<text> ...]
        [beam_size=<hypotheses>] [length_penalty=1.0] [stream=true] [checkpoint=best|last] [device=...]

    The prompt is taken literally; prompt_file=- reads it from stdin. A sample ends before the first stop text. With
    beam_size, the most probable text is searched for instead of drawing one.
    """
    stops, arguments = own_values(arguments, ["stop"])
    numbers: Parsers = {"max_tokens": whole_number, "num_samples": whole_number, "seed": whole_number}
    numbers |= {"stream": parse_bool, "beam_size": whole_number, "length_penalty": finite_number}
    choosing: Parsers = {"temperature": finite_number, "top_p": finite_number, "repetition_penalty": finite_number}
    choosing |= {"top_k": whole_number, "greedy": parse_bool}
    optional = dict.fromkeys(["prompt", "prompt_file", *numbers, *choosing])
    literal, overrides = split_arguments(arguments, "run", checkpoint="best", **optional)
    run = RunDirectory.open(literal["run"])
    saved, config = run_config(run, overrides)
    kinds = {key: kind for key, kind in (numbers | choosing).items() if literal[key] is not None}
    given = {key: parsed(key, literal[key], kind) for key, kind in kinds.items()}
    prompt = read_prompt(literal["prompt"], literal["prompt_file"])
    from seqtrain.commands.evaluate import check_changes, check_choice
    from seqtrain.commands.generate import Generation, generate
    from seqtrain.tasks.language.sampling import Sampling

    check_choice("checkpoint", literal["checkpoint"], ("best", "last"))
    check_changes(saved, config)
    sampling = Sampling(**{key: value for key, value in given.items() if key in choosing})
    options = {key: value for key, value in given.items() if key in numbers} | prompt
    wanted = Generation(stop=stops.get("stop", []), sampling=sampling, **options)
    with within_memory(None, f"num_samples={wanted.num_samples}", "the prompt"):
        generate(config, run, wanted, checkpoint=literal["checkpoint"])


def compare(arguments: Sequence[str]) -> None:
    """Compare runs, with paired intervals of their differences on the same test examples.

    seqtrain compare <run or folder> ... [format=terminal|markdown|csv|html] [output=<file>]
        [split=test|validation] [metric=<name>,...]

    A folder is searched for runs one and two levels deep. Runs that differ in no more than the seed are one line, with
    mean and standard deviation; runs of other data, splits or tasks get tables of their own. metric is that which chose
    the checkpoints; several are compared one after the other, and the first orders the lines. format follows from the
    name of the output (.txt, .md, .csv, .html).
    """
    values, directories = own_values(arguments, ["format", "output", "split", "metric"])
    check_directories("compare", directories, "format=, output=, split= or metric=")
    from seqtrain.commands.compare import compare

    compare(directories, **{key: given[-1] for key, given in values.items()})


def inspect(arguments: Sequence[str]) -> None:
    """Write a page on the errors of a run.

    seqtrain inspect <run> [<second run>] [split=test|validation] [output=<file>]

    Of a classifier it has the most confident errors with their texts and the attention, confusions, and errors by
    class, by length and by share of unknown words; of a forecaster the worst windows, and errors by time, series,
    variable and step. With a second run on the same data it shows where the two differ. output, an HTML file, is by
    default errors-<split>.html in the first run.
    """
    values, directories = own_values(arguments, ["split", "output"])
    check_directories("inspect", directories, "split= or output=", "a run")
    if len(directories) > 2:
        raise ConfigError(
            f"inspect: takes one run or two, and {len(directories)} are named; seqtrain compare takes more"
        )
    from seqtrain.commands.inspect import inspect

    with within_memory():
        inspect(directories, **{key: given[-1] for key, given in values.items()})


def board(arguments: Sequence[str]) -> None:
    """Show runs in TensorBoard; HParams has the options that vary and the scores first.

    seqtrain board <folder> [port=6006] [host=127.0.0.1]

    The folder is searched for runs one and two levels deep, also for those that start later. Nothing is written into
    it. The address is printed. Without port, the next free one is taken if 6006 is in use; 0 takes any. Ctrl-C ends it.
    """
    values, directories = own_values(arguments, ["port", "host"])
    check_directories("board", directories, "port= or host=")
    if len(directories) > 1:
        raise ConfigError(f"board {' '.join(directories)}: expected one folder; give one that has all runs below it")
    port = parsed("port", values["port"][-1], whole_number) if "port" in values else None
    require(port is None or 0 <= port < 2**16, "port", port, "from 0 to 65535")
    from seqtrain.commands.board import board

    board(directories[0], port, values.get("host", ["127.0.0.1"])[-1])


def ensemble(arguments: Sequence[str]) -> None:
    """Average the outputs of runs, and score the average beside each of them.

    seqtrain ensemble <run or folder> ... [output=<folder>]

    A folder is searched for runs one and two levels deep. The runs must have the same data, task and classes. The table
    has their scores on validation and test, with paired intervals. output, by default a new folder in outputs, is the
    directory of a run that averages its members: eval, predict, compare and seqtrain.load take it.
    """
    values, directories = own_values(arguments, ["output"])
    check_directories("ensemble", directories, "output=")
    from seqtrain.commands.ensemble import ensemble

    with within_memory():
        ensemble(directories, **{key: given[-1] for key, given in values.items()})


def label_errors(arguments: Sequence[str]) -> None:
    """List rows whose given label is unlikely, by runs that were not trained on them.

    seqtrain label-errors <run or folder> ... [output=<file>]

    A folder is searched for runs one and two levels deep. Of the runs of all folds (data.folds) every row of train is
    judged, of other runs the rows of validation. Probabilities of several runs for the same row are averaged. output,
    csv, tsv, jsonl or parquet, gets all rows found, the least likely label first; the terminal shows the first ones.
    """
    values, directories = own_values(arguments, ["output"])
    check_directories("label-errors", directories, "output=")
    from seqtrain.commands.label_errors import label_errors

    with within_memory():
        label_errors(directories, **{key: given[-1] for key, given in values.items()})


def check_directories(command: str, directories: Sequence[str], keys: str, what: str = "a folder of runs") -> None:
    """Raise ConfigError unless a command was given folders of runs, and nothing but these and its keys."""
    for argument in directories:
        if argument.startswith("-") or ("=" in argument and not expanded(argument).exists()):
            raise ConfigError(f"{argument}: expected {what}, {keys}")
    if not directories:
        raise ConfigError(f"{command}: name at least one {what.removeprefix('a ')}, as outputs")


LONGEST_PROMPT = 1 << 24  # bytes


def read_prompt(text: str | None, file: str | None) -> dict[str, str]:
    """The prompt, from the command line, a file or stdin (-); empty if there is none."""
    if text is not None and file is not None:
        raise ConfigError("prompt_file: give it or prompt, not both")
    if file is None:
        return {} if text is None else {"prompt": text}
    content = read_input(file, "prompt_file", LONGEST_PROMPT)
    try:
        return {"prompt": content.decode("utf-8-sig")}
    except UnicodeDecodeError as error:
        raise ConfigError(f"prompt_file={file}: byte {error.start} is not UTF-8 ({error.reason})") from error

# Sourced by the other scripts: changes to the repository, and makes .venv with the pinned packages if it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ ! -x .venv/bin/python ]; then
    "${PYTHON:-python3}" -c 'import sys; sys.exit("seqtrain needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
    "${PYTHON:-python3}" -m venv .venv
fi
# .venv/installed records the pins of the last installation.
if ! cmp -s <(cat constraints.txt pyproject.toml) .venv/installed; then
    echo "installing the pinned packages into .venv (once; some minutes) ..." >&2
    # torch first, on its own, so that a CPU build from the index or a local folder is used if there is one.
    .venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check "$(grep '^torch==' constraints.txt)"
    .venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev]'
    # pip would compile one file after another, used or not. It fails for files of other versions of Python.
    unused='/(tests|testing|pip|setuptools|mypyc?|pygments/lexers|torch/(_dynamo|_inductor|distributed|onnx))/'
    .venv/bin/python -m compileall -qq -j 0 -x "$unused" .venv/lib || true
    cat constraints.txt pyproject.toml > .venv/installed
fi
export PATH="$PWD/.venv/bin:$PATH"

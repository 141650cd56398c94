# Sourced by the other scripts: makes .venv with the pinned packages if it is not there yet, and goes to the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ ! -x .venv/bin/python ]; then
    "${PYTHON:-python3}" -c 'import sys; sys.exit("seqtrain needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
    "${PYTHON:-python3}" -m venv .venv
fi
# The stamp tells whether what is installed is what is pinned today.
if ! cmp -s <(cat constraints.txt pyproject.toml) .venv/installed; then
    echo "installing the pinned packages into .venv (once; some minutes) ..." >&2
    # torch first, on its own: a CPU build on the index or in a local folder then serves, if there is one.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep '^torch==' constraints.txt)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
    cat constraints.txt pyproject.toml > .venv/installed
fi
export PATH="$PWD/.venv/bin:$PATH"

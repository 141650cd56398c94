"""Entry point of ``python -m seqtrain``."""

from seqtrain.cli.main import main

main()

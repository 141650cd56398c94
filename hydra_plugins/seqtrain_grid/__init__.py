"""The sweeper behind ``-m``. Hydra finds sweepers only in the package ``hydra_plugins``."""

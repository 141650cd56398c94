"""``hydra/sweeper=optuna``. Hydra finds sweepers only in the package ``hydra_plugins``.

Hydra imports every module here without a leading underscore at each start, so these import nothing slow.
"""

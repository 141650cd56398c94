"""``hydra/sweeper=optuna``: Hydra accepts sweepers from the package ``hydra_plugins`` alone.

Hydra imports every module here whose name has no leading underscore at each start; those import nothing heavy.
"""

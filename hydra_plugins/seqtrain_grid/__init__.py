"""The sweeper behind ``-m``: Hydra accepts sweepers from the package ``hydra_plugins`` alone."""

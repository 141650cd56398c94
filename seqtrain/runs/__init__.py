"""The directory of a run: its lock, its files and its status. Nothing here imports torch."""

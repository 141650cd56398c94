"""Sweeps: their jobs, the state of each job, and how jobs share a machine. Nothing here imports torch."""

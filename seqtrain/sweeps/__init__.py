"""Sweeps: which jobs they have, where each stands, and how jobs share a machine. Nothing here imports torch."""

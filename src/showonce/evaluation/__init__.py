"""Scores: task sets with fixed seeds, the runner, controls, proof and the core table. Nothing here trains."""

"""Versioned candidates on disk: lock, checkpoints, ledger, packing, store."""

"""The torch engine: frozen model, image towers, adapter and its files, batches, features."""

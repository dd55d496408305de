"""The folder of a run: its index, event file, metrics, history, report and trackers."""

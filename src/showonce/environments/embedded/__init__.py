"""The embedded world: procedurally drawn screens on which the tiny model lives."""

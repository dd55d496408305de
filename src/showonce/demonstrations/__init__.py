"""Demonstrations and episodes on disk."""

from __future__ import annotations

from showonce.demonstrations.format import (
    SCHEMA_VERSION,
    check_complete,
    check_fit,
    load_demonstration,
    load_episode,
    load_observations,
    read_meta,
    read_png,
)
from showonce.demonstrations.redact import redact
from showonce.demonstrations.store import EpisodeStore, EpisodeWriter, latest_demonstration, save_demonstration

__all__ = [
    "SCHEMA_VERSION",
    "EpisodeStore",
    "EpisodeWriter",
    "check_complete",
    "check_fit",
    "latest_demonstration",
    "load_demonstration",
    "load_episode",
    "load_observations",
    "read_meta",
    "read_png",
    "redact",
    "save_demonstration",
]

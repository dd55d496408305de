"""The console dashboard: reads a run's event file, never live objects, so it cannot slow or crash the agent."""

from __future__ import annotations

from showonce.dashboard.app import LiveDashboard, watch
from showonce.dashboard.reader import RunReader
from showonce.dashboard.state import RunView

__all__ = ["LiveDashboard", "RunReader", "RunView", "watch"]

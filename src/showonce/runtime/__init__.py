"""Running episodes: the one loop and everything that it calls."""

"""Real pages in a real Chromium: Playwright on a thread of its own, many environments in one browser process."""

"""Screens to learn from: practice episodes, views of one frame, the buffer, a person's corrections."""

"""The desktop: capture, input, and listeners that see what a person does. X11 is proved here; others: `elsewhere`."""

"""Learning while running: learners, the gate, the ratchet and what they stand on."""

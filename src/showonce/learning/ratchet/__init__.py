"""What becomes champion and what comes back: canaries, promotion, drop test, rollback."""

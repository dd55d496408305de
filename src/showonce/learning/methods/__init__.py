"""The learners: one file a method, its loss terms, and deliberate faults."""

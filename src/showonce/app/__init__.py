"""One file a verb of the command line, and what they share: the plan of a run and its parts."""

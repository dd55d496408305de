"""The policy: a frozen vision-language model, its adapter, how it is spoken to and how its answers are read."""

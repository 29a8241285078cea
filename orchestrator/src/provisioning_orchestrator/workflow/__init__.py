"""Floor 0: what a workflow is and how it decides. Pure: standard library only, no clock, no randomness, no I/O."""

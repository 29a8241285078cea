"""The kill marathon: a real daemon, real subprocesses, and SIGKILL at random moments and at every named crash point."""

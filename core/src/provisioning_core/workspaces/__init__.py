"""Workspaces as things to manage: which there are, how a new one is made, whether one is good as a whole."""

"""Workspaces as things to manage: which there are, how a new one is made."""

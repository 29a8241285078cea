"""Talks to the orchestrator over HTTP: `Orchestrator` asks and wishes; `feed.Feed` follows a workflow's events."""

from .orchestrator import Orchestrator

__all__ = ["Orchestrator"]

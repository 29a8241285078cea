"""Talks to the orchestrator over HTTP: `Orchestrator` asks and wishes, `Feed` follows a workflow's events."""

from .feed import Away, Back, Ended, Feed, Record
from .orchestrator import Orchestrator

__all__ = ["Away", "Back", "Ended", "Feed", "Orchestrator", "Record"]

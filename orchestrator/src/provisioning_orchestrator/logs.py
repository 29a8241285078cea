"""The daemon's own log: JSON lines that nothing in them can break or forge.

Control characters are escaped by JSON, all other characters that a terminal might obey by us: a name with an escape
sequence in it stays a name when somebody reads the log.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

MESSAGE_CHARACTERS_MAX = 16_384


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix("provisioning_orchestrator."),
            "message": _cut(record.getMessage()),
        }
        if record.exc_info:
            line["trace"] = _cut(self.formatException(record.exc_info))
        # Escaping to ASCII covers what JSON would let through: DEL, C1 controls, and the marks that turn the direction.
        return json.dumps(line, ensure_ascii=True).replace("\x7f", "\\u007f")


def set_up_logs(level: str, file: Path | None) -> None:
    """To the file, by default standard error. Replaces what was set up before."""
    handler = logging.StreamHandler(sys.stderr) if file is None else logging.FileHandler(file, encoding="ascii")
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.raiseExceptions = False  # a full disk or a closed terminal must not become a stream of traces
    server = logging.getLogger("uvicorn.error")
    server.setLevel(max(logging.WARNING, logging.getLogger().level))
    server.addFilter(_not_cut_off)


def _not_cut_off(record: logging.LogRecord) -> bool:
    """uvicorn calls it an error when we cut a stream off on purpose."""
    return not str(record.msg).startswith(
        ("ASGI callable returned without completing", "Exception in ASGI application")
    )


def _cut(text: str) -> str:
    return text if len(text) <= MESSAGE_CHARACTERS_MAX else text[:MESSAGE_CHARACTERS_MAX] + "…"

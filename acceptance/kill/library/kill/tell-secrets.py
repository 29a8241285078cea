"""One task of the storm of secrets: sixty lines and events, each with a secret in two halves, and a result."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

json.load(sys.stdin)
secret = json.loads(Path(os.environ["PROVISIONING_SECRETS"]).read_text())["db"]
kept = Path(os.environ["PROVISIONING_PRIVATE"], "kept")
kept.write_text(secret)
half = len(secret) // 2
for number in range(60):
    os.write(1, f"line {number} {secret[:half]}".encode())
    time.sleep(0.004)
    os.write(1, f"{secret[half:]} {secret.encode().hex(':')}\n".encode())
    with Path(os.environ["PROVISIONING_EVENTS"]).open("a") as events:
        events.write(json.dumps({"type": "progress", "message": f"{number} {secret}"}) + "\n")
result = Path(os.environ["PROVISIONING_RESULT"])
part = result.with_name(result.name + ".part")
part.write_text(json.dumps({"result": kept.read_text()}))
part.replace(result)

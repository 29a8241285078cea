"""Tells its secrets in every way that there is, then returns, raises or exits."""

from __future__ import annotations

import base64
import json
import os
import shlex
import sys
import time
import urllib.parse
from pathlib import Path

from provisioning_core.operation import Result, Task, run


def forms(value: str) -> list[str]:
    raw = value.encode()
    return [
        value,
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(b"x:" + raw).decode(),
        raw.hex(),
        raw.hex().upper(),
        urllib.parse.quote(value, safe=""),
        json.dumps(value),
        shlex.quote(value),
        repr(value),
    ]


def main(task: Task) -> Result:
    values = [task.secret(reference).reveal() for reference in task.params["secrets"]]
    for value in values:
        for form in forms(value):
            print("told:", form, flush=True)
        sys.stderr.buffer.write(value.encode("utf-16"))
        for char in value[:200]:
            os.write(2, char.encode())
        os.write(2, value[200:].encode() + b"\n")
    Path(task.params["here"]).write_text("here\n")
    while not Path(task.params["go"]).exists():
        time.sleep(0.02)
    for value in values:
        task.progress(" ".join(forms(value)))
        task.progress("x" * 3990 + value)
    everything = [form for value in values for form in forms(value)]
    with Path(os.environ["PROVISIONING_EVENTS"]).open("a") as events:
        events.write(json.dumps({"type": "resource.created", "kind": "server", "id": "s-1", "x": everything}) + "\n")
        events.write("no JSON, but " + values[0] + "\n")
    os.system("printf '%s\\n' told-by-a-child; cat /dev/null")
    if task.params["how"] == "raise":
        raise ValueError(" ".join(everything)[:3000])
    if task.params["how"] == "exit":
        os._exit(9)
    return Result({"all": everything, values[0]: values[1]}, resources=[{"kind": "x", "id": values[2]}])


if __name__ == "__main__":
    run(main)

"""What a machine starts at its beginning, besides its SSH server, as a shell program that its first process runs.

    /etc/rc2.d/S*                     services that are enabled in Debian's way (`update-rc.d`), in that order
    /etc/provisioning/boot.d/*        executables of your own, in the order of their names
    /var/lib/provisioning/user-data   the server's user data: run once, until it has come to its end for the first time
    /var/log/provisioning-boot.log    what they say

SSH answers meanwhile. At the level `namespace`, whose /etc/rc2.d would not fit the host's programs, only the last two.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from .setting import Setting

_LOG = "/var/log/provisioning-boot.log"
_PROGRAM = """
for script in %s /etc/provisioning/boot.d/*; do
    [ -x "$script" ] || continue
    echo "$(date -Iseconds) $script"
    case "$script" in /etc/rc*) "$script" start ;; *) "$script" ;; esac || echo "$script: exit code $?"
done
cd /var/lib/provisioning 2>/dev/null && [ -f user-data ] && [ ! -e user-data.done ] || exit 0
echo "$(date -Iseconds) user data"
cd /root
/var/lib/provisioning/user-data
code=$?
echo "$(date -Iseconds) user data: exit code $code"
cd /var/lib/provisioning && echo $code > user-data.new && mv user-data.new user-data.done
"""


def begin(setting: Setting, environment: dict[str, str]) -> None:
    """In the machine's first process: start it, and wait for nothing. What hinders it does not hinder the machine."""
    try:
        _begin(setting, environment)
    except OSError as error:
        logging.warning("cannot start what is enabled: %s", error)


def _begin(setting: Setting, environment: dict[str, str]) -> None:
    something = ("/etc/rc2.d", "/etc/provisioning/boot.d", "/var/lib/provisioning/user-data")
    if not any(Path(each).exists() for each in something):
        return
    program = _PROGRAM % ("/etc/rc2.d/S*" if setting.services else "")
    Path(_LOG).parent.mkdir(parents=True, exist_ok=True)
    log = os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", program],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigmask=[],
        )
    finally:
        os.close(log)

"""`python -m provisioning_core.providers.local destroy WORKSPACE` leaves nothing of the workspace's machines behind.

`room WORKSPACE PID STARTTIME`, `machine LISTENER CONTROL`, `image PID DIRECTORY HOW`, `vm DIRECTORY PID STARTTIME` and
`remove DIRECTORY` are how the provider starts its own processes.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    match arguments:
        case ["destroy", workspace]:
            from .provider import destroy

            destroy(Path(workspace))
        case ["room", workspace, starter]:
            from .opening import run_room
            from .processes import Identity

            pid, started = starter.split()
            run_room(Path(workspace), Identity(int(pid), int(started)))
        case ["image", starter, target, *how]:
            from .rootfs import make

            return make(int(starter), Path(target), how)
        case ["vm", home, starter]:
            from .processes import Identity
            from .vm import become_qemu

            pid, started = starter.split()
            become_qemu(Path(home), Identity(int(pid), int(started)))
        case ["remove", path]:
            from .removal import remove_as_root_of_others

            remove_as_root_of_others(Path(path))
        case ["machine", listener, control]:
            from .opening import run_machine

            run_machine(int(listener), int(control))
        case _:
            sys.stderr.write("usage: python -m provisioning_core.providers.local destroy WORKSPACE\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

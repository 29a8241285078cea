"""The disk of a new machine: the directories and the few files of /etc that are its own.

Everything here is written from outside, before the machine runs for the first time; afterwards only the machine writes
on its disk (a link that it plants must never lead us to a file of the host).
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from .removal import remove_tree

OWN = ("etc", "home", "mnt", "opt", "root", "srv", "var/cache", "var/lib", "var/log", "var/spool", "etc/ssl")
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu")
# Shown read-only from the host's /etc: no secret is in them, and programs of the host's /usr need them.
ETC_SHOWN = (
    "alternatives",
    "ca-certificates",
    "crypto-policies",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "pki/ca-trust",
    "pki/tls/certs",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
)
_LOOKED_UP_IN_FILES = ("passwd", "group", "shadow", "hosts", "services", "protocols")
_ETC_COPIED = ("localtime", "mime.types", "protocols", "services")


def make_disk(home: Path, hostname: str, public_key: str, user_data: str | None) -> None:
    """Make home/disk and home/local, whole or not at all; a disk that is there already is left as it is."""
    if (home / "disk").exists():
        return
    for left in home.glob("disk.*"):
        remove_tree(left)
    disk = home / f"disk.{secrets.token_hex(4)}"
    for name in OWN:
        (disk / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (disk / name).mkdir()
        (disk / name).chmod(0o1777)
    for name in ("dev", "proc", "run", "sys", "usr"):
        (disk / name).mkdir()
    (disk / "var/run").symlink_to("../run")
    _link_system(disk)
    _write_etc(disk / "etc", hostname, _shell())
    _write_home(disk / "root", public_key)
    if user_data is not None:
        write_user_data(disk, user_data)
    for name in ("bin", "etc", "lib", "sbin", "share", "src"):
        (home / "local" / name).mkdir(parents=True, exist_ok=True)
    disk.rename(home / "disk")


def write_user_data(disk: Path, user_data: str) -> None:
    """For the first boot of a disk that is being made."""
    place = disk / "var/lib/provisioning"
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o700)
    (place / "user-data").write_text(user_data)
    (place / "user-data").chmod(0o700)


def _link_system(disk: Path) -> None:
    """/bin and the like, as links where the host has links into /usr, else as places to show the host's own."""
    for name in SYSTEM:
        path = Path("/") / name
        if path.is_symlink():
            (disk / name).symlink_to(path.readlink())
        elif path.is_dir():
            (disk / name).mkdir()


def _shell() -> str:
    return "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"


def _write_etc(etc: Path, hostname: str, shell: str) -> None:
    files = {
        "passwd": f"root:x:0:0:root:/root:{shell}\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
        "hostname": f"{hostname}\n",
        "hosts": f"127.0.0.1\tlocalhost\n127.0.1.1\t{hostname}\n",
        # No name server: nothing outside of its network can be reached, and asking one would only wait.
        "resolv.conf": "# this machine has no name server; names of its network are in /etc/hosts\n",
        "nsswitch.conf": "".join(f"{each}: files\n" for each in _LOOKED_UP_IN_FILES),
        "profile": 'umask 022\nif [ -n "$BASH_VERSION" ] && [ -r /etc/bash.bashrc ]; then . /etc/bash.bashrc; fi\n'
        'for f in /etc/profile.d/*.sh; do [ -r "$f" ] && . "$f"; done; unset f\n',
        "bash.bashrc": "[ -z \"$PS1\" ] || PS1='\\u@\\h:\\w\\$ '\n",
        "shells": f"/bin/sh\n{shell}\n",
    }
    for name, text in files.items():
        (etc / name).write_text(text)
    (etc / "profile.d").mkdir()
    if Path("/usr/lib/os-release").exists():
        (etc / "os-release").symlink_to("../usr/lib/os-release")
    for name in _ETC_COPIED:
        if (Path("/etc") / name).is_file():
            shutil.copyfile(Path("/etc") / name, etc / name)
    for name in ETC_SHOWN:
        shown = Path("/etc") / name
        if shown.is_dir():
            (etc / name).mkdir(parents=True, exist_ok=True)
        elif shown.exists():
            (etc / name).parent.mkdir(parents=True, exist_ok=True)
            (etc / name).touch()


def _write_home(root: Path, public_key: str) -> None:
    root.chmod(0o700)
    (root / ".ssh").mkdir(mode=0o700)
    (root / ".ssh" / "authorized_keys").write_text(public_key)
    (root / ".bashrc").write_text(". /etc/bash.bashrc\nalias ll='ls -l'\n")
    (root / ".profile").write_text('[ -z "$BASH_VERSION" ] || . ~/.bashrc\n')

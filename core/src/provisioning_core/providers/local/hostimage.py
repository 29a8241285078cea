"""The host as an image: what of it the machines at the level `image` see, where root runs us.

Shown as it is: /usr, without /usr/local, /usr/src and the workspace, and the database of packages, which fits it. All
else is a *base*, made once per state of the host's packages, and made of what is named here only, so that nothing that
somebody has put on the host shines through: files of /etc that belong to packages or are made from them, and the empty
directories that packages have in /var. What only root may read on the host is left out. Nothing of it is ever written
again.

    <root>/images/host-<digest>/system/   the base      usr/   what hides parts of /usr, and two programs of ours
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from .imagebox import Layers
from .registry import Registry
from .removal import remove_tree

_DPKG = Path("/var/lib/dpkg")
_VERSION = "1"  # of what is made here; another one makes other bases
_DIRECTORIES = {"root": 0o700, "tmp": 0o1777} | dict.fromkeys(
    ("boot", "dev", "etc", "home", "media", "mnt", "opt", "proc", "run", "srv", "sys", "usr", "var"), 0o755
)
_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Not owned by packages, but made from them, or needed to get further ones.
_ETC_MADE = (
    "adduser.conf", "alternatives", "apt/keyrings", "apt/preferences.d", "apt/sources.list", "apt/sources.list.d",
    "apt/trusted.gpg", "apt/trusted.gpg.d", "bash.bashrc", "ca-certificates.conf", "deluser.conf", "fonts/conf.d",
    "inputrc", "ld.so.cache", "ld.so.conf", "localtime", "locale.conf", "locale.gen", "default/locale", "login.defs",
    "nsswitch.conf", "pam.d", "profile", "sgml/catalog", "shells", "skel", "ssl/certs", "timezone", "xml/catalog",
)  # fmt: skip
_ETC_NOT = (
    "cron.", "environment", "fstab", "group", "gshadow", "hostname", "hosts", "machine-id", "mtab",
    "passwd", "rc0.d", "rc1.d", "rc2.d", "rc3.d", "rc4.d", "rc5.d", "rc6.d", "rcS.d", "resolv.conf", "security/opasswd",
    "shadow", "ssh/ssh_host_", "ssl/private/", "subgid", "subuid", "systemd/system/",
)  # fmt: skip
_VAR_COPIED = (
    "apt/extended_states", "apt/lists", "dictionaries-common", "emacsen-common", "pam", "python", "sgml-base",
    "shells.state", "systemd/deb-systemd-helper-enabled", "ucf", "xml-core",
)  # fmt: skip
_VAR_NOT = ("lock", "partial")
_UID_OF_PEOPLE, _NOBODY = 1000, 65534
_OPAQUE = "trusted.overlay.opaque"
_PROGRAMS = {
    "policy-rc.d": "#!/bin/sh\n# Services of this machine may be started.\nexit 0\n",
    "runlevel": "#!/bin/sh\necho N 2\n",
}


def refusal() -> str | None:
    """Why the host can't be an image for others, None where nothing speaks against it yet."""
    if os.geteuid() != 0:
        return "the host's own files are root's, and root does not run this"
    if not (_DPKG / "status").exists():
        return "the host has no packages of Debian's kind (/var/lib/dpkg/status)"
    if not Path("/bin").is_symlink():
        return "the host's /bin is no link into /usr"
    return None


def names() -> tuple[str, ...]:
    """What the host is called as an image: `host`, and its distribution, such as `debian-12`."""
    with contextlib.suppress(OSError):
        release = platform.freedesktop_os_release()
        if "VERSION_ID" in release:
            return ("host", f"{release['ID']}-{release['VERSION_ID']}")
    return ("host",)


def base(registry: Registry) -> str:
    """The name of the base in <root>/images, made where it is not there. The caller holds the lock. Raises OSError."""
    seen = (_DPKG / "status").stat()
    words = f"{_VERSION} {seen.st_mtime_ns} {seen.st_size} {seen.st_ino} {registry.root}"
    name = f"host-{hashlib.sha256(words.encode()).hexdigest()[:12]}"
    images = registry.root / "images"
    images.mkdir(mode=0o700, exist_ok=True)
    used = {record.layer for record in registry.all("server")}
    for left in images.glob("host-*"):  # half made, or of a state of the host that no machine was made in
        if left.name not in (name, *used):
            remove_tree(left)
    if not (images / name).is_dir():
        fresh = images / f"{name}.new.{secrets.token_hex(4)}"
        fresh.mkdir()
        _make_system(fresh / "system")
        _make_mask(fresh / "usr", registry.root.parents[1])
        fresh.rename(images / name)
    return name


def layers(base: Path, first: int | None) -> Layers:
    usr = (str(base / "usr"), "/usr")
    return Layers((str(base / "system"),), {"usr": usr, "var/lib/dpkg": (str(_DPKG),)}, first)


def _make_system(top: Path) -> None:
    top.mkdir(mode=0o755)
    for name, mode in _DIRECTORIES.items():
        (top / name).mkdir()
        (top / name).chmod(mode)
    for name in _LINKS:
        if (Path("/") / name).is_symlink():
            (top / name).symlink_to((Path("/") / name).readlink())
    owned = sorted(set(_owned("etc")))
    for path in owned:
        _show(path, top)
    for name in _ETC_MADE:
        for path in _below(Path("/etc", name)):
            _show(path, top)
    for path in sorted({_DPKG, *_owned("var")}):
        if path.is_symlink() or path.is_dir():
            _copy(path, top)
    for name in _VAR_COPIED:
        for path in _below(Path("/var/lib", name)):
            if path.name not in _VAR_NOT:
                _copy(path, top)
    for name in ("tmp", "log", "run", "lock", "mail"):
        if os.path.lexists(Path("/var", name)):
            _copy(Path("/var", name), top)
    _write_users(top / "etc")
    _write_own(top)


def _owned(top: str) -> Iterator[Path]:
    """What packages own below that directory of the host's."""
    for file in (_DPKG / "info").glob("*.list"):
        for line in file.read_text(errors="surrogateescape").splitlines():
            if line.startswith(f"/{top}/"):
                yield Path(line)


def _below(path: Path) -> Iterator[Path]:
    """The path itself, and what is in it."""
    if os.path.lexists(path):
        yield path
    if path.is_dir() and not path.is_symlink():
        for directory, directories, files in os.walk(path):
            yield from (Path(directory, name) for name in (*directories, *files))


def _show(path: Path, top: Path) -> None:
    """Copy what everybody on the host may read and what is not made anew for each machine."""
    name = str(path)[len("/etc/") :]
    if name.startswith(_ETC_NOT):
        return
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if path.is_symlink() or path.stat().st_mode & stat.S_IROTH:
            _copy(path, top)


def _copy(path: Path, top: Path) -> None:
    """One entry of the host's into the base, with its owner and rights; a directory without what is in it."""
    target = top / str(path).lstrip("/")
    if os.path.lexists(target):
        return
    if path != path.parent and not target.parent.is_dir():
        if not path.parent.is_dir():
            return
        _copy(path.parent, top)
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        target.symlink_to(path.readlink())
    elif stat.S_ISDIR(status.st_mode):
        target.mkdir()
    elif stat.S_ISREG(status.st_mode):
        shutil.copyfile(path, target)
    else:
        return
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        target.chmod(stat.S_IMODE(status.st_mode))


def _write_users(etc: Path) -> None:
    """The host's system users, and none of its people; nobody has a password."""
    users = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines() if line.count(":") == 6]
    groups = [line.split(":") for line in Path("/etc/group").read_text().splitlines() if line.count(":") == 3]
    users = [each for each in users if _of_system(each[2])]
    groups = [[*each[:3], ""] for each in groups if _of_system(each[2])]
    for each in users:
        each[1] = "x"
        if each[2] == "0":
            each[4:6] = ["root", "/root"]
    (etc / "passwd").write_text("".join(":".join(each) + "\n" for each in users))
    (etc / "group").write_text("".join(":".join(each) + "\n" for each in groups))
    for name, lines in (
        ("shadow", [f"{each[0]}:*:19000:0:99999:7:::\n" for each in users]),
        ("gshadow", [f"{each[0]}:*::\n" for each in groups]),
    ):
        (etc / name).write_text("".join(lines))
        shutil.chown(etc / name, 0, next((int(each[2]) for each in groups if each[0] == "shadow"), 0))
        (etc / name).chmod(0o640)


def _of_system(id: str) -> bool:
    return id.isdigit() and (int(id) < _UID_OF_PEOPLE or int(id) == _NOBODY)


def _write_own(top: Path) -> None:
    etc = top / "etc"
    for number in "0123456S":
        (etc / f"rc{number}.d").mkdir(exist_ok=True)
    (etc / "provisioning/boot.d").mkdir(parents=True, exist_ok=True)
    for name, text in {
        "environment": "",
        "fstab": "",
        "subuid": "",
        "subgid": "",
        "dpkg/dpkg.cfg.d/provisioning": "# This machine can be made again at any time.\nforce-unsafe-io\n",
    }.items():
        (etc / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / name).write_text(text)
    (top / "root/.bashrc").write_text("PS1='\\u@\\h:\\w\\$ '\nalias ll='ls -l'\n")
    (top / "root/.profile").write_text('[ -z "$BASH_VERSION" ] || . ~/.bashrc\n')


def _make_mask(top: Path, workspace: Path) -> None:
    top.mkdir(mode=0o755)
    for name in ("bin", "etc", "lib", "sbin", "share", "src"):
        (top / "local" / name).mkdir(parents=True)
    (top / "src").mkdir()
    hidden = [top / "local", top / "src"]
    for inside in (workspace, workspace.resolve()):
        if inside.is_relative_to("/usr"):
            place = top / inside.relative_to("/usr")
            place.mkdir(parents=True, exist_ok=True)
            hidden.append(place)
    for place in hidden:
        os.setxattr(place, _OPAQUE, b"y")
    (top / "sbin").mkdir(exist_ok=True)
    for name, text in _PROGRAMS.items():
        (top / "sbin" / name).write_text(text)
        (top / "sbin" / name).chmod(0o755)

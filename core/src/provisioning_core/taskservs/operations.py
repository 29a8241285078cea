"""pyinfra operations for taskservs: Debian packages, files and services, such that a kill at any instant does no harm.

    from provisioning_core.taskservs.operations import content, packages, service, template

    packages(["nginx-light"])
    template("site.conf.j2", "/etc/nginx/sites-enabled/default", port=params["port"])
    service("nginx", reads=["/etc/nginx"])

They compare with what is there and change only what differs, like every operation of pyinfra; those work beside them.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from . import apt
from .server import Server

_pyinfra: Any = import_module("pyinfra")  # its own types say less than it does
_api: Any = import_module("pyinfra.api")
host, operation, StringCommand = _pyinfra.host, _api.operation, _api.StringCommand

_STAMPS = "/run/provisioning"


class _Lines(_api.FactBase):  # type: ignore[misc]
    """The lines that a command says."""

    default = list

    def command(self, script: str) -> str:
        return f"sh -c {shlex.quote(script)}"

    def process(self, output: Any) -> list[str]:
        return list(output)


def lines(script: str) -> list[str]:
    """What a line of shell says on the server, now. It should always exit with 0."""
    return cast(list[str], host.get_fact(_Lines, script=script))


@operation()  # type: ignore[untyped-decorator]
def packages(
    names: Sequence[str], version: str | None = None, present: bool = True, purge: bool = False
) -> Iterator[Any]:
    """Debian packages installed, or not.

    version: of the first one, exact or like `1.22.*`; None: the distribution's, and whatever is there is left as it is.
    purge: with present=False, their configuration goes as well. An interrupted dpkg is set right first, a busy one is
    waited for. Where the server cannot reach its package sources, they come through our own connection.
    """
    there = apt.decode_state(lines(apt.state_script(names)))
    if present:
        missing = [name for name in names if not there.fits(name, version if name == names[0] else None)]
        if missing or there.broken:
            wanted = [f"{names[0]}={version}" if version and name == names[0] else name for name in missing]
            yield StringCommand(apt.install_script(wanted, proxy=_way_to_sources() if missing else None))
    else:
        gone = [name for name in names if name in (there.known if purge else there.installed)]
        if gone or there.broken:
            yield StringCommand(apt.remove_script(gone, purge=purge))


@operation()  # type: ignore[untyped-decorator]
def content(
    path: str, text: str, mode: str = "644", user: str | None = None, group: str | None = None
) -> Iterator[Any]:
    """A file with exactly that text, replaced whole or not at all. The text never stands in argv.

    A last line without its newline gets one.
    """
    text += "\n" if text and not text.endswith("\n") else ""
    owner = f"{user or 'root'}:{group or user or 'root'}" if user or group else None
    wanted = [hashlib.sha256(text.encode()).hexdigest(), mode.lstrip("0"), owner or "-"]
    quoted = shlex.quote(path)
    said = f"sha256sum <{quoted} | cut -d' ' -f1; stat -c %a {quoted}; " + (
        f"stat -c %U:%G {quoted}" if owner else "echo -"
    )
    if lines(f"[ -f {quoted} ] && [ ! -L {quoted} ] && {{ {said}; }}; exit 0") == wanted:
        return
    part = shlex.quote(f"{path}.provisioning-part")
    chown = f"chown {shlex.quote(owner)} {part} && " if owner else ""
    script = (
        f"set -e; umask 077; mkdir -p {shlex.quote(str(Path(path).parent))} -m 755; "
        f"cat >{part}; {chown}chmod {shlex.quote(mode)} {part}; mv -f {part} {quoted}"
    )
    yield StringCommand(f"sh -c {shlex.quote(script)}", _stdin=text)


def template(
    name: str, path: str, mode: str = "644", user: str | None = None, group: str | None = None, **values: Any
) -> Any:
    """A file rendered from the taskserv's `templates/NAME` (Jinja2; an undefined name is an error). As `content`."""
    import jinja2

    server = this_server()
    loader = jinja2.FileSystemLoader(server.folder / "templates")
    environment = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 - configuration files, not HTML
    )
    text = environment.get_template(name).render(server=server, **values)
    return content(path, text, mode=mode, user=user, group=group, name=f"write {path}")


@operation()  # type: ignore[untyped-decorator]
def absent(paths: Sequence[str]) -> Iterator[Any]:
    """None of these files and directories is there."""
    quoted = " ".join(map(shlex.quote, paths))
    if lines(f'for path in {quoted}; do [ -e "$path" ] || [ -L "$path" ] && echo "$path"; done; exit 0'):
        yield StringCommand(f"rm -rf -- {quoted}")


@operation()  # type: ignore[untyped-decorator]
def service(
    name: str, reads: Sequence[str] = (), running: bool = True, enabled: bool = True, reload: bool = False
) -> Iterator[Any]:
    """A service that runs, with what it reads as it is now, or one that does not run.

    reads: files and directories. It is restarted (reload: reloaded) where they are not what it was last started with.
    That is told by a digest, written down after the restart: so a kill between the two leads to a restart too, which an
    event `the file has changed` would not. Files put there after that restart lead to one as well, also with the old
    digest: while they were away, a package may have started the service. By systemd where that runs, else by its init
    script.
    """
    systemd = "systemd" in this_server().offers
    stamp, now = f"{_STAMPS}/{name}.reads", _digest_script(reads)
    alive = f"systemctl is-active --quiet {name}" if systemd else f"service {name} status >/dev/null 2>&1"
    on = f"systemctl is-enabled --quiet {name} 2>/dev/null" if systemd and enabled else "true"
    same = f"{now} | cmp -s - {stamp} && {_not_since_script(reads, stamp)}"
    said = lines(f"{{ {alive}; }} && echo runs; {on} && echo on; {same} && echo same; exit 0")

    def call(verb: str) -> str:
        return f"systemctl {verb} {name}" if systemd else f"service {name} {verb} </dev/null"

    if not running:
        if "runs" in said:
            yield StringCommand(call("stop"))
        if systemd and "on" in said:
            yield StringCommand(f"systemctl disable --quiet {name}")
        return
    if systemd and "on" not in said:
        yield StringCommand(f"systemctl enable --quiet {name}")
    if "runs" in said and "same" in said:
        return
    verb = "start" if "runs" not in said else "reload" if reload else "restart"
    script = f"set -e; mkdir -p {_STAMPS}; now=$({now}); {call(verb)}; printf '%s\\n' \"$now\" >{stamp}"
    yield StringCommand(apt.unattached(script, name))


def _digest_script(reads: Sequence[str]) -> str:
    """A line that says one digest of the names and contents of all that is read."""
    if not reads:
        return "echo nothing"
    quoted = " ".join(map(shlex.quote, reads))
    return f"find -L {quoted} -type f -exec sha256sum {{}} + 2>/dev/null | sort | sha256sum"


def _not_since_script(reads: Sequence[str], stamp: str) -> str:
    """Good where no file that is read was made, written or moved there after the stamp."""
    if not reads:
        return "true"
    quoted = " ".join(map(shlex.quote, reads))
    return f'[ -z "$(find -L {quoted} -type f -cnewer {stamp} 2>/dev/null | head -n 1)" ]'


def this_server() -> Server:
    """Of the install.py that runs."""
    return cast(Server, host.data.get("provisioning"))


def _way_to_sources() -> str | None:
    """The URL of our proxy on the server; None where the server reaches its sources, or has a proxy of its own."""
    unreachable = lines(apt.unreachable_script())
    if not unreachable:
        return None
    server = this_server()
    server.tell(f"{', '.join(unreachable)} cannot be reached from {server.name}: packages come through our connection")
    url = server.proxy()
    if url is None:
        raise _api.OperationError(
            f"{server.name} reaches none of {', '.join(unreachable)}, and this machine has no package sources to lend"
        )
    return url

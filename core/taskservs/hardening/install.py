"""hardening: who may come in, and how. It never locks us out.

A configuration of the SSH server is tested before it is put in place, with the rest of it, and again before the server
reads it; then a new connection is opened with our own key. Where that fails, what was there before is put back.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from pyinfra.api import StringCommand, operation
from pyinfra.operations import server as accounts

from provisioning_core.errors import ConflictError, ProviderError
from provisioning_core.taskservs.operations import absent, content, lines
from provisioning_core.taskservs.server import Server

SSHD = "/etc/ssh/sshd_config.d/60-provisioning.conf"
SYSCTL = "/etc/sysctl.d/60-provisioning.conf"
SUDOERS = "/etc/sudoers.d/60-provisioning-"
HEAD = "# Kept by provisioning: the taskserv hardening.\n"


def install(server: Server, params: dict[str, Any]) -> dict[str, Any]:
    users = params["users"]
    check(server, params)
    for each in users:
        home = "/root" if each["name"] == "root" else f"/home/{each['name']}"
        if each["name"] != "root":
            accounts.user(each["name"], home=home, shell=each["shell"], ensure_home=True, name=f"have {each['name']}")
        keys = list(each["keys"])
        if each["name"] == server.login and server.public_key and server.public_key not in keys:
            keys.append(server.public_key)  # ours must stay, whatever was forgotten
        owner = each["name"]
        text = "".join(f"{key}\n" for key in keys)
        content(f"{home}/.ssh/authorized_keys", text, mode="600", user=owner, name=f"keys of {owner}")
        own_directory(f"{home}/.ssh", owner, name=f"rights of {home}/.ssh")
    may_sudo = [each["name"] for each in users if each["sudo"] and each["name"] != "root"]
    for name in may_sudo:
        content(f"{SUDOERS}{name}", f"{HEAD}{name} ALL=(ALL) NOPASSWD: ALL\n", mode="440", name=f"sudo for {name}")
    stale = set(lines(f"ls {SUDOERS}* 2>/dev/null; exit 0")) - {f"{SUDOERS}{name}" for name in may_sudo}
    if stale:
        absent(sorted(stale), name="take sudo from others")
    sshd = has_sshd()
    if sshd:
        ssh_server(server, sshd_text(params))
    settings = "".join(f"{name} = {value}\n" for name, value in sorted(params["sysctl"].items()))
    content(SYSCTL, HEAD + settings, name="write the kernel's settings")
    applied = "kernel" in server.offers
    if applied:
        kernel(params["sysctl"], name="have the kernel's settings")
    elif params["sysctl"]:
        server.tell("the kernel's settings are written down, not applied: this server shares its kernel")
    if params["motd"] is not None:
        content("/etc/motd", params["motd"], name="write the message")
    return {"sshd": "configured" if sshd else "none", "sysctl": "applied" if applied else "written, not applied"}


def remove(server: Server, params: dict[str, Any], purge: bool) -> None:
    stale = lines(f"ls {SUDOERS}* 2>/dev/null; exit 0")
    absent([SYSCTL, *stale], name="remove our settings")
    if has_sshd():
        absent([SSHD], name="remove the SSH server's settings")
        reload_sshd(name="have the SSH server read them")
        server.enter()
    for each in params["users"] if purge else []:
        if each["name"] not in ("root", server.login):
            accounts.user(each["name"], present=False, name=f"remove {each['name']}")


def check(server: Server, params: dict[str, Any]) -> None:
    """Raises ConflictError for what would lock us out, or cannot be here."""
    if server.login == "root" and params["root_login"] == "no":
        raise ConflictError(
            "root_login: no would lock us out: we log in as root", code="lock_out", hint="prohibit-password keeps keys"
        )
    if not params["forwarding"]:
        server.tell("without forwarding, health checks by tcp and http on this server fail")
    names = [each["name"] for each in params["users"] if each["name"] != "root"]
    if names and "users" not in server.offers:
        raise ConflictError(
            f"{', '.join(names)} cannot be on {server.name}: it has one user id only",
            code="unsupported_server",
            hint="a local machine of level `image` has more, and so has every real server",
        )


def sshd_text(params: dict[str, Any]) -> str:
    def yes(value: bool) -> str:
        return "yes" if value else "no"

    return HEAD + (
        f"PasswordAuthentication {yes(params['passwords'])}\n"
        f"KbdInteractiveAuthentication {yes(params['passwords'])}\n"
        f"PermitRootLogin {params['root_login']}\n"
        f"AllowTcpForwarding {yes(params['forwarding'])}\n"
        f"MaxAuthTries {params['auth_tries']}\n"
        "PubkeyAuthentication yes\nPermitEmptyPasswords no\nX11Forwarding no\nClientAliveInterval 60\n"
    )


def ssh_server(server: Server, text: str) -> None:
    """Put it in place, and back again where we could not come in any more."""
    before = "\n".join(lines(f"cat {SSHD} 2>/dev/null; exit 0"))
    drop_in(text, name="configure the SSH server")
    reload_sshd(name="have the SSH server read it")
    try:
        server.enter()
    except ProviderError as error:
        if before:
            content(SSHD, before + "\n", mode="600", name="put the former configuration back")
        else:
            absent([SSHD], name="take the configuration away again")
        reload_sshd(name="have the SSH server read that")
        raise ProviderError(
            f"with the new SSH configuration we could not log in any more ({error.message}); it was taken back",
            code="lock_out",
            retryable=False,
        ) from error


@operation()
def drop_in(text: str) -> Iterator[Any]:
    """The file, only where the SSH server accepts all of its configuration with it: tested beside its place first."""
    if lines(f"cat {SSHD} 2>/dev/null; exit 0") == text.splitlines():
        return
    script = (
        "set -e; umask 077; mkdir -p /run/sshd /run/provisioning; part=/run/provisioning/sshd; cat >$part.drop; "
        # The first value of a setting counts, so the new ones come first in the test as they will with the Include.
        "cat $part.drop /etc/ssh/sshd_config >$part.whole; sshd -t -f $part.whole; "
        f"mkdir -p /etc/ssh/sshd_config.d; cp $part.drop {SSHD}.part; mv {SSHD}.part {SSHD}; sshd -t"
    )
    yield StringCommand(f"sh -c {shlex.quote(script)}", _stdin=text)


@operation()
def reload_sshd() -> Iterator[Any]:
    """Where it runs, and has not read what is there now: told by a digest, as in `service`."""
    digest = f"cat /etc/ssh/sshd_config {SSHD} 2>/dev/null | sha256sum"
    stamp = "/run/provisioning/sshd.reads"
    if lines(f"{digest} | cmp -s - {stamp} && echo same; exit 0"):
        return
    pid = "cat /run/sshd.pid 2>/dev/null"
    script = (
        f"mkdir -p /run/provisioning /run/sshd; sshd -t || exit 1; now=$({digest}); "
        f"if [ -d /run/systemd/system ]; then systemctl reload ssh 2>/dev/null || systemctl reload sshd; "
        f'elif pid=$({pid}); then kill -HUP "$pid"; fi; printf "%s\\n" "$now" >{stamp}'
    )
    yield StringCommand(f"sh -c {shlex.quote(script)}")


@operation()
def kernel(settings: dict[str, str]) -> Iterator[Any]:
    """Each of them as it is to be, now."""
    names = " ".join(shlex.quote(name) for name in settings)
    now = dict(line.partition(" = ")[::2] for line in lines(f"sysctl {names} 2>/dev/null; exit 0"))
    if any(now.get(name, "").split() != value.split() for name, value in settings.items()):
        yield StringCommand(f"sysctl -q -e -p {SYSCTL}")


@operation()
def own_directory(path: str, owner: str) -> Iterator[Any]:
    quoted = shlex.quote(path)
    if lines(f"stat -c '%a %U' {quoted}; exit 0") != [f"700 {owner}"]:
        yield StringCommand(f"chmod 700 {quoted} && chown {shlex.quote(owner)}: {quoted}")


def has_sshd() -> bool:
    return bool(lines("command -v sshd >/dev/null && [ -f /etc/ssh/sshd_config ] && echo yes; exit 0"))

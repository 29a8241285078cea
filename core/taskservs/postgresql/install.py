"""postgresql: the distribution's version, one cluster `main`, users and databases that only ever grow.

Passwords go to the server as SCRAM verifiers, computed here: neither its log nor its process list ever shows one, and
whether a user has that password already can be told without logging in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from typing import Any

from pyinfra.api import StringCommand, operation
from pyinfra.operations import files

from provisioning_core.errors import UsageError
from provisioning_core.taskservs.operations import absent, lines, packages, service, template
from provisioning_core.taskservs.server import Server

ITERATIONS = 4096


def install(server: Server, params: dict[str, Any]) -> dict[str, Any]:
    owners = [each["owner"] for each in params["databases"] if each["owner"] not in (None, *params["users"])]
    if owners:
        raise UsageError(f"postgresql: owners of databases that are no users: {', '.join(owners)}", code="bad_params")
    packages(["postgresql"], version=server.package_version, name="install the packages")
    version = _version()
    place = f"/etc/postgresql/{version}/main"
    cluster(version, name="have a cluster")
    # Debian's own clusters have the line, but not where createcluster.conf was lost.
    line = r"include_dir = 'conf\.d'.*"
    files.line(f"{place}/postgresql.conf", line=line, replace="include_dir = 'conf.d'", name="have conf.d read")
    template("provisioning.conf.j2", f"{place}/conf.d/provisioning.conf", user="postgres", **params)
    template("pg_hba.conf.j2", f"{place}/pg_hba.conf", mode="640", user="postgres", **params)
    reads = [f"{place}/postgresql.conf", f"{place}/conf.d", f"{place}/pg_hba.conf"]
    service("postgresql", reads=reads, name="have it run with this configuration")
    for name, password in params["users"].items():
        user(name, password, params["port"], name=f"have the user {name}")
    for each in params["databases"]:
        database(each["name"], each["owner"], params["port"], name=f"have the database {each['name']}")
    return {"ports": [params["port"]], "cluster": f"{version}/main"}


def remove(server: Server, params: dict[str, Any], purge: bool) -> None:
    version = _version()
    if purge and version:
        drop_cluster(version, name="drop the cluster with its data")
    names = lines("dpkg-query -W -f '${Package}\\n' 'postgresql*' 2>/dev/null; exit 0")
    packages(names or ["postgresql"], present=False, name="remove the packages")
    if purge:  # not by the packages' own purge: it asks debconf, whose memory may be gone
        absent(["/etc/postgresql", "/var/lib/postgresql", "/var/log/postgresql"], name="remove what is left")


@operation()
def cluster(version: str) -> Iterator[Any]:
    """One is there, whatever a package found or left: it makes one only where there has been none before."""
    made = f"test -f /var/lib/postgresql/{version}/main/PG_VERSION && test -d /etc/postgresql/{version}/main"
    if not lines(f"{made} && echo yes; exit 0"):
        # What is left of an interrupted making holds nothing yet, and stands in the way of the next one.
        yield StringCommand(
            f"test -f /etc/postgresql/{version}/main/postgresql.conf && pg_dropcluster {version} main >/dev/null 2>&1; "
            f"pg_createcluster --locale C.UTF-8 --encoding UTF8 {version} main </dev/null >/dev/null"
        )


@operation()
def drop_cluster(version: str) -> Iterator[Any]:
    if lines(f"test -d /etc/postgresql/{version}/main && echo yes; exit 0"):
        yield StringCommand(f"pg_dropcluster --stop {version} main </dev/null")


@operation()
def user(role: str, password: str, port: int) -> Iterator[Any]:
    """Who may log in, with that password."""
    # The manifest's patterns let no quote into a name.
    there = query(port, f"SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = '{role}'")  # noqa: S608
    if there and there[0].startswith("t|") and matches(there[0][2:], password):
        return
    verb = "ALTER" if there else "CREATE"
    yield sql(port, f"{verb} ROLE \"{role}\" LOGIN PASSWORD '{verifier(password, secrets.token_bytes(16))}';")


@operation()
def database(called: str, owner: str | None, port: int) -> Iterator[Any]:
    asked = f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{called}'"  # noqa: S608
    there = query(port, asked)
    if not there:
        yield sql(port, f'CREATE DATABASE "{called}"' + (f' OWNER "{owner}";' if owner else ";"))
    elif owner and there[0] != owner:
        yield sql(port, f'ALTER DATABASE "{called}" OWNER TO "{owner}";')


def query(port: int, text: str) -> list[str]:
    return lines(f'runuser -u postgres -- psql -p {port} -AtXqc "{text}" 2>/dev/null; exit 0')


def sql(port: int, text: str) -> StringCommand:
    """On standard input: what stands in argv could be seen."""
    return StringCommand(f"cd / && runuser -u postgres -- psql -p {port} -Xq -v ON_ERROR_STOP=1", _stdin=text)


def verifier(password: str, salt: bytes) -> str:
    """As PostgreSQL keeps it (RFC 5803)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored, own = hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256")
    words = (base64.b64encode(each).decode() for each in (salt, stored, own))
    return "SCRAM-SHA-256${}:{}${}:{}".format(ITERATIONS, *words)


def matches(kept: str, password: str) -> bool:
    """Whether what is kept is of that password."""
    try:
        salt = base64.b64decode(kept.split("$")[1].partition(":")[2])
    except (IndexError, ValueError):
        return False
    return hmac.compare_digest(kept, verifier(password, salt))


def _version() -> str:
    """The newest major version whose server is there."""
    found = lines("ls /usr/lib/postgresql 2>/dev/null | sort -V; exit 0")
    return found[-1] if found else ""

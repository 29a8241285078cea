"""What exists, on disk: one directory per resource, one JSON record in it, replaced whole and synced.

    <workspace>/.provisioning/local/
        lock                  flock: whoever changes a record holds it
        start.lock            flock: whoever starts the machine room holds it
        room.lock             flock: the machine room of this workspace, as long as it lives
        room.socket           where it listens; room.json: its pid and start time; room.log
        keys/id_ed25519       the key that opens every server of this workspace
        known_hosts
        servers/<id>/         record.json  host_key  machine.log  disk/  local/ (its /usr/local)
        networks/<id>/        record.json
        trash/                what is being removed; swept by the next change

A directory without a readable record is one whose creation was killed before it had an id: the next change sweeps it.
Readers take no lock. State is never stored: a record says which process the machine is, and that is looked up.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import json
import os
import re
import secrets
import signal
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ...errors import ProviderError
from ...provider import Kind, Wish
from .processes import Identity, end
from .removal import remove_tree
from .terms import DEFAULT_CIDR

Isolation = Literal["namespace", "process", "image", "vm"]
SSH_PORT = 2222
_ENDS_S = 10.0
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PREFIX = {"server": "srv", "network": "net"}


@dataclass(frozen=True, slots=True)
class Record:
    """One resource. process: the machine's, while it has one. ready: SSH has answered once.

    network_refusal: why a machine reaches no other one of its network, None where it does.

    pending: what was changed waits for a restart. told_keys: the SSH keys of the spec that the running machine knows.

    At the level `image`: image: its name, image_source: where it is from; layer: which directory of <root>/images it
    lies on; first: the host's uid of its root, where root runs us.

    ssh_host, ssh_port: where the host reaches it; address: its own, in its network. network: the network's id.
    """

    kind: Kind
    id: str
    key: str
    intent: str
    infra: str
    name: str
    spec: dict[str, Any]
    labels: dict[str, str]
    created_at: str
    cidr: str | None = None
    isolation: Isolation = "namespace"
    network: str | None = None
    address: str | None = None
    ssh_host: str | None = None
    ssh_port: int = SSH_PORT
    user: str = "root"
    host_key: str | None = None
    process: Identity | None = field(default=None)
    ready: bool = False
    shared_with_host: tuple[str, ...] = ()
    network_refusal: str | None = None
    image: str | None = None
    image_source: str | None = None
    layer: str | None = None
    first: int | None = None
    pending: bool = False
    told_keys: tuple[str, ...] = ()

    @property
    def inside(self) -> bool:
        """It has namespaces of its own."""
        return self.isolation in ("namespace", "image")


class Registry:
    def __init__(self, workspace: Path) -> None:
        self.root = workspace.absolute() / ".provisioning" / "local"

    def prepare(self) -> None:
        for path in (self.root, self.root / "servers", self.root / "networks", self.root / "trash"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")

    @contextlib.contextmanager
    def locked(self, name: str = "lock") -> Iterator[None]:
        """Hold one of the locks. It ends by closing, never by LOCK_UN, which would release a forked copy too."""
        self.prepare()
        descriptor = os.open(self.root / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def home(self, kind: Kind, id: str) -> Path:
        return self.root / f"{kind}s" / id

    def get(self, kind: Kind, id: str) -> Record | None:
        if not re.fullmatch(r"[a-z]{3}-[0-9a-f]{12}", id):
            return None  # nothing that we ever gave out, and no path either
        return _read(self.home(kind, id))

    def all(self, kind: Kind) -> list[Record]:
        """Every record of that kind, sorted by key."""
        try:
            homes = list((self.root / f"{kind}s").iterdir())
        except FileNotFoundError:
            return []
        return sorted((record for record in map(_read, homes) if record), key=lambda record: (record.key, record.id))

    def find(self, kind: Kind, *, intent: str | None, key: str | None) -> Record | None:
        """By intent, then by key. An intent that belongs to another key is refused: it is not the same wish."""
        records = self.all(kind)
        for record in records:
            if intent is not None and record.intent == intent:
                if key is not None and record.key != key:
                    raise ProviderError(
                        f"cannot create {key!r} by intent {intent}: it made {record.id} with key {record.key!r}",
                        code="intent_reused",
                        hint="give every resource an intent of its own",
                        retryable=False,
                    )
                return record
        return next((record for record in records if key is not None and record.key == key), None)

    def write(self, record: Record) -> None:
        """Durable when it returns. The caller holds the lock."""
        home = self.home(record.kind, record.id)
        home.mkdir(mode=0o700, exist_ok=True)
        replace_file(home / "record.json", json.dumps(asdict(record)).encode(), sync=True)
        _sync(home.parent)

    def remove(self, record: Record) -> None:
        """Out of the registry at once, by a rename; then off the disk. The caller holds the lock."""
        home = self.home(record.kind, record.id)
        home.rename(self.root / "trash" / f"{record.id}.{secrets.token_hex(4)}")
        _sync(home.parent)
        self.sweep()

    def sweep(self) -> None:
        """Finish what a killed delete or create has left half done. The caller holds the lock."""
        for home in [*(self.root / "servers").iterdir(), *(self.root / "networks").iterdir()]:
            if not (home / "record.json").exists():
                remove_tree(home)
        for left in (self.root / "trash").iterdir():
            # A virtual machine that came to life while it was being deleted, and had said so before it was moved here.
            end(own_process(left), (signal.SIGKILL,), grace_s=_ENDS_S)
            remove_tree(left)

    def write_known_hosts(self) -> None:
        """One line per server, made anew from the records. The caller holds the lock."""
        lines = [
            f"[{record.ssh_host}]:{record.ssh_port} {record.host_key}\n"
            for record in self.all("server")
            if record.host_key
        ]
        replace_file(self.root / "known_hosts", "".join(lines).encode(), sync=False)


def check_name(wish: Wish) -> None:
    if not _HOSTNAME.fullmatch(wish.name):
        raise ProviderError(
            f"cannot create a {wish.kind} named {wish.name[:80]!r}",
            code="invalid_name",
            hint="a name is a hostname: 1 to 63 of a-z A-Z 0-9 and -, with no - at either end",
            retryable=False,
        )


def new_record(registry: Registry, wish: Wish) -> Record:
    """The record of a wish that nothing fulfils yet, with a fresh id. Raises ProviderError for an impossible one."""
    check_name(wish)
    record = Record(
        kind=wish.kind,
        id=f"{_PREFIX[wish.kind]}-{uuid.uuid4().hex[:12]}",
        key=wish.key,
        intent=wish.intent,
        infra=wish.infra,
        name=wish.name,
        spec=dict(wish.spec),
        labels=dict(wish.labels) | {"key": wish.key, "intent": wish.intent},
        created_at=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
    )
    if wish.kind == "network":
        return replace(record, cidr=str(_network(wish.spec.get("cidr") or DEFAULT_CIDR, wish.name)), ready=True)
    return _placed(registry, record)


def _placed(registry: Registry, record: Record) -> Record:
    """Give a new server the network that its definition names, and a free address in it."""
    name = record.spec.get("network")
    if name is None:
        return record
    network = next((each for each in registry.all("network") if (each.infra, each.name) == (record.infra, name)), None)
    if network is None or network.cidr is None:
        raise ProviderError(
            f"cannot create server {record.name!r}: there is no network {name!r} in infra {record.infra!r}",
            code="network_missing",
            hint="create the network first",
        )
    cidr = ipaddress.IPv4Network(network.cidr)
    taken = {each.address for each in registry.all("server") if each.network == network.id}
    wanted = record.spec.get("address")
    if wanted is not None:
        return replace(record, network=network.id, address=_wanted(str(wanted), cidr, taken, record.name))
    hosts = iter(cidr.hosts())
    next(hosts)  # the first one is the bridge's
    free = next((str(host) for host in hosts if str(host) not in taken), None)
    if free is None:
        raise ProviderError(
            f"cannot create server {record.name!r}: no address of {cidr} is free", code="no_address", retryable=False
        )
    return replace(record, network=network.id, address=free)


def _wanted(address: str, cidr: ipaddress.IPv4Network, taken: set[str | None], name: str) -> str:
    try:
        fits = ipaddress.IPv4Address(address) in list(cidr.hosts())[1:]
    except ValueError:
        fits = False
    if not fits or address in taken:
        raise ProviderError(
            f"cannot give server {name!r} the address {address!r}: it is {'taken' if fits else f'no host of {cidr}'}",
            code="bad_address",
            hint=f"leave it out, or name a free one of {cidr} (its first host is the network's own)",
            retryable=False,
        )
    return address


def _network(cidr: object, name: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(str(cidr))
        if not 16 <= network.prefixlen <= 30:
            raise ValueError("its prefix is not in /16 to /30")
    except ValueError as error:
        raise ProviderError(
            f"cannot create network {name!r} with cidr {cidr!r}: {error}",
            code="bad_cidr",
            hint=f"an IPv4 network, /16 to /30, such as {DEFAULT_CIDR}",
            retryable=False,
        ) from error
    return network


def decode_record(fields: dict[str, Any]) -> Record:
    process = fields["process"]
    tuples = {name: tuple(fields.get(name) or ()) for name in ("shared_with_host", "told_keys")}
    return Record(**(fields | {"process": Identity(**process) if process else None} | tuples))


def replace_file(path: Path, content: bytes, *, sync: bool) -> None:
    """The whole new content or the whole old one, whatever is killed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        _sync(path.parent)


def _read(home: Path) -> Record | None:
    try:
        record = decode_record(json.loads((home / "record.json").read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return replace(record, process=own_process(home)) if record.isolation == "vm" else record


def own_process(home: Path) -> Identity | None:
    """Who a virtual machine says that it is: it does so before anybody else can."""
    try:
        return Identity(**json.loads((home / "process.json").read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

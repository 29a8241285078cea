"""A double of EC2 on loopback: moto behind our own door, corrected where it is not faithful.

    with AwsDouble(directory) as double:
        boto3.client("ec2", endpoint_url=double.url, region_name="eu-central-1", aws_access_key_id="x", …)

What is corrected:

    ClientToken   the same token and parameters give the same instance or volume, also a terminated one; other
                  parameters are refused (IdempotentParameterMismatch). moto makes a second one
    states        pending, stopping, shutting-down for `pace_s`; moto is there at once
    visibility    what was made is missing from answers for `lag_s`; asking for it is InvalidInstanceID.NotFound
    refusals      DeleteSubnet and DeleteSecurityGroup of what is in use (DependencyViolation), a change of the type of
                  a running instance (IncorrectInstanceState), unknown keys where `token` is given (AuthFailure)
    addresses     198.18.0.0/15 instead of other people's, or where the machine behind it is
    images        Debian 12 and 13, Ubuntu 22.04 and 24.04, with the names and owners that they really have

moto keeps all in memory: the ledger outlives the double, what it made ends with it. Whatever else moto can is as it is
(EC2 only). Words for faults: `create` (Run…, Create…, Import…), `list` (Describe…), `delete` (Terminate…, Delete…),
`power` (Start…, Stop…, Reboot…), `update` (all else).
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import threading
import time
from pathlib import Path
from urllib.parse import parse_qsl

from ..admin import admin_routes
from ..backing import Backed, Backing
from ..faults import Fault, Faults
from ..http import Answer, Request, Route, Server
from ..mishap import befall
from ..running import Running
from .account import Account, Params
from .answers import Passing, View, replayed, shown
from .keys import keys_of
from .refusal import FAULTS, HEADERS, Refusal, no_instance

_ADDRESSES = ipaddress.IPv4Network("198.18.0.0/15")  # for tests of devices: routed nowhere
_VERBS = (
    ("create", ("Run", "Create", "Import")),
    ("list", ("Describe", "Get")),
    ("delete", ("Terminate", "Delete")),
    ("power", ("Start", "Stop", "Reboot")),
)
_TOKENED = {"RunInstances": ("instance", "reservationSet"), "CreateVolume": ("volume", "volumeSet")}
_PASSING = {"RunInstances": "pending", "StartInstances": "pending", "StopInstances": "stopping"}
_PASSING |= {"TerminateInstances": "shutting-down"}
_NEVER = float("inf")


class AwsDouble(Running):
    """One account. directory: of its ledger. token: the only access key that is accepted; None: any is. backed: what is
    behind the instances. pace_s: how long each of their states takes to pass. Needs moto with its server's packages
    (extra `doubles`). Raises OSError where the port is taken, ConflictError where another double uses the directory.
    """

    name = "aws"

    def __init__(
        self,
        directory: Path,
        *,
        faults: Faults | None = None,
        port: int = 0,
        token: str | None = None,
        backed: Backed = "none",
        pace_s: float = 0.05,
    ) -> None:
        super().__init__(directory, faults)
        for gone in self.ledger.existing():  # with the memory of an earlier double
            self.ledger.delete(gone.kind, gone.id)
        self._token = token
        self._pace_s = pace_s
        self.behind = self._backing = Backing(Path(directory), backed)
        self._lock = threading.RLock()
        self._tokens: dict[tuple[str, str], tuple[str, str]] = {}
        self._passing: dict[str, Passing] = {}
        self._addresses: dict[str, str] = {}
        self._private: dict[str, str] = {}
        self._made_at: dict[str, float] = {}
        self._keys: dict[str, str] = {}
        admin = admin_routes(self.ledger, self.faults, self)
        routes = [*admin, self._backing.route(), Route("POST", "/", self._answer)]
        self.server = Server(routes, missing=lambda _: Answer(404), port=port)
        self.url = self.server.url
        self.port = self.server.port
        self._account = Account(f"{self.port:05d}{time.time_ns() % 10_000_000:07d}")

    # --- what its support does ----------------------------------------------------------------------------------------

    def servers(self) -> list[str]:
        with self._lock:
            return [each.id for each in self.ledger.existing("server")]

    def release(self, id: str) -> bool:
        with self._lock:
            stuck = self._passing_until(id) == _NEVER
            if stuck:
                self._passing[id] = Passing(self._passing[id].state, time.time())
            return stuck

    def spoil(self, id: str) -> bool:
        return False

    # --- requests -----------------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> Answer:
        params = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
        action = params.get("Action", "")
        verb = next((verb for verb, words in _VERBS if action.startswith(words)), "update")
        fault, waits = self.faults.draw(verb), self.faults.waits

        def do() -> Answer:
            try:
                region = self._check_key(request)
                with self._lock:
                    return self._do(action, params, request, region, waits.lag_s, stuck=fault == "stuck")
            except Refusal as refusal:
                return refusal.answer()

        def refuse(fault: Fault) -> Answer:
            return FAULTS[fault].answer()

        return befall(fault, waits, do=do, refuse=refuse, pause=self.server.pause)

    def _do(self, action: str, params: Params, request: Request, region: str, lag_s: float, *, stuck: bool) -> Answer:
        reads = action.startswith(("Describe", "Get"))
        self._account.backend(region)  # with its images
        before = {} if reads else self._account.things(region)
        hidden = frozenset(id for id, at in self._made_at.items() if time.time() < at + lag_s)
        self._check_hidden(params, hidden)
        self._check(action, params, region)
        if action == "ImportKeyPair":
            self._keys[params.get("KeyName", "")] = params.get("PublicKeyMaterial", "")
        token = params.get("ClientToken") if action in _TOKENED else None
        if token and (action, token) in self._tokens:
            return self._replay(action, params, request, self._tokens[action, token], region)
        status, content = self._account.call(self._completed(action, params, region), request.headers)
        if status != 200:
            return Answer(status, content, HEADERS)
        made = [] if reads else self._keep(before, region, params)
        if token:
            first = next(id for kind, id in made if kind in ("server", "volume"))
            self._tokens[action, token] = (_fingerprint(params), first)
        self._pass(action, params, made, stuck)
        return Answer(200, self._shown(action, content, hidden), HEADERS)

    def _completed(self, action: str, params: Params, region: str) -> Params:
        """What EC2 would understand and moto does not: filters by token, and the default security group of a VPC."""
        if action == "RunInstances" and params.get("SubnetId") and "SecurityGroupId.1" not in params:
            group = self._account.default_group(region, params["SubnetId"])
            return params | ({"SecurityGroupId.1": group} if group else {})
        tokens = [name for name, value in params.items() if (name[-5:], value) == (".Name", "client-token")]
        if action != "DescribeInstances" or not tokens:
            return params
        changed = dict(params)
        for name in tokens:
            changed[name] = "instance-id"
            for each in [each for each in params if each.startswith(name.removesuffix("Name") + "Value")]:
                known = self._tokens.get(("RunInstances", params[each]))
                changed[each] = known[1] if known else "i-00000000000000000"
        return changed

    def _keep(
        self, before: dict[tuple[str, str], dict[str, object]], region: str, params: Params
    ) -> list[tuple[str, str]]:
        """Write what came and went into the ledger. What came, the instance first."""
        after = self._account.things(region)
        made = sorted((each for each in after if each not in before), key=lambda each: each[0] != "server")
        for kind, id in made:
            self.ledger.create(kind, id, after[kind, id])
            self._made_at[id] = time.time()
            if kind == "server":
                self._give_address(id, region, params)
        for kind, id in before:
            if (kind, id) not in after:
                self.ledger.delete(kind, id)
                if kind == "server":
                    self._backing.delete(id)
        return made

    def _give_address(self, id: str, region: str, params: Params) -> None:
        things = self._account.things(region)
        subnet = things.get(("subnet", params.get("SubnetId", "")))
        network = (params["SubnetId"], str(subnet["cidr"])) if subnet else None
        tags = things["server", id]["tags"]
        name = re.sub(r"[^a-z0-9-]", "-", str(tags.get("Name", id)).lower()).strip("-")[:63] or id
        keys = keys_of(self._keys.get(params.get("KeyName", "")), params.get("UserData"))
        number = len(self._addresses) % (_ADDRESSES.num_addresses - 2)
        real = self._backing.create(id, name, keys, network)
        self._addresses[id] = real.public if real else str(_ADDRESSES[1 + number])
        if real and network:
            self._private[id] = real.private

    def _pass(self, action: str, params: Params, made: list[tuple[str, str]], stuck: bool) -> None:
        if action not in _PASSING:
            return
        ids = [id for kind, id in made if kind == "server"] or _ids(params, "InstanceId")
        until = _NEVER if stuck else time.time() + self._pace_s
        for id in ids:
            self._passing[id] = Passing(_PASSING[action], until)
            if action in ("StartInstances", "StopInstances"):
                self._backing.power(id, action == "StartInstances")

    def _replay(self, action: str, params: Params, request: Request, known: tuple[str, str], region: str) -> Answer:
        fingerprint, id = known
        if _fingerprint(params) != fingerprint:
            raise Refusal(
                "IdempotentParameterMismatch",
                f"Arguments on this idempotent request are inconsistent with those of the previous one ({id})",
            )
        what, holder = _TOKENED[action]
        plural, singular = f"Describe{what.capitalize()}s", f"{what.capitalize()}Id.1"
        asked = {"Action": plural, "Version": params.get("Version", ""), singular: id}
        status, content = self._account.call(asked, request.headers)
        if status != 200:  # a volume that is gone
            return Answer(status, content, HEADERS)
        return Answer(200, self._shown(action, replayed(content, action, holder), frozenset()), HEADERS)

    def _shown(self, action: str, content: bytes, hidden: frozenset[str]) -> bytes:
        if not action.startswith(("Describe", "RunInstances")):
            return content
        return shown(content, View(self._passing, self._addresses, self._private, hidden, self._backing.ready))

    def _check_key(self, request: Request) -> str:
        """The region of the signature. Raises Refusal."""
        found = re.search(r"Credential=([^/,]+)/\d+/([^/]+)/ec2/", request.headers.get("authorization", ""))
        if found is None or self._token not in (None, found[1]):
            raise Refusal("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
        return found[2]

    def _check_hidden(self, params: Params, hidden: frozenset[str]) -> None:
        for name, value in params.items():
            if value in hidden and re.match(r"(InstanceId|ResourceId|VolumeId|VpcId|SubnetId|GroupId)", name):
                if value.startswith("i-"):
                    raise no_instance(value)
                kind = {"vol": "InvalidVolume", "vpc": "InvalidVpcID", "sub": "InvalidSubnetID"}
                raise Refusal(f"{kind.get(value[:3], 'InvalidGroup')}.NotFound", f"The ID '{value}' does not exist")

    def _check(self, action: str, params: Params, region: str) -> None:
        """What EC2 refuses and moto does not."""
        quota = self.faults.quota
        known = ("RunInstances", params.get("ClientToken", "")) in self._tokens
        if action == "RunInstances" and quota is not None and not known:
            servers = [id for kind, id in self._account.things(region) if kind == "server"]
            if len(servers) >= quota:
                raise Refusal("InstanceLimitExceeded", f"More instances were requested than the limit of {quota}")
        if action == "DeleteSubnet" and params.get("SubnetId") in self._users(region):
            raise Refusal("DependencyViolation", f"The subnet '{params['SubnetId']}' has dependencies")
        if action == "DeleteSecurityGroup" and params.get("GroupId") in self._users(region):
            raise Refusal("DependencyViolation", f"resource {params['GroupId']} has a dependent object")
        if action == "ModifyInstanceAttribute" and "InstanceType.Value" in params:
            id = params.get("InstanceId", "")
            if self._account.state(region, id) != "stopped" or time.time() < self._passing_until(id):
                raise Refusal("IncorrectInstanceState", f"The instance '{id}' is not in the 'stopped' state.")

    def _users(self, region: str) -> set[str]:
        """Subnets and security groups that an instance is in."""
        used = set()
        for reservation in self._account.backend(region).reservations.values():
            for instance in reservation.instances:
                gone = instance.state == "terminated" and time.time() >= self._passing_until(instance.id)
                if not gone:
                    used.add(instance.subnet_id)
                    used |= {group.id for group in instance.security_groups}
        return used

    def _passing_until(self, id: str) -> float:
        return self._passing[id].until if id in self._passing else 0.0


def _fingerprint(params: Params) -> str:
    said = sorted((name, value) for name, value in params.items() if name != "ClientToken")
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _ids(params: Params, name: str) -> list[str]:
    return [value for each, value in params.items() if re.fullmatch(rf"{name}\.\d+", each)]

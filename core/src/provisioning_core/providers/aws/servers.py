"""Servers at EC2: instances, and what belongs to them.

    RunInstances      with its tags and disks at once, marked open=making. Its ClientToken is of the key: EC2 makes one
                      of it however often it is asked, and by whomever
    security group    found before it is made; until then the instance is in the VPC's default one, which is closed
    mark off          when it runs, is protected, and has let somebody in

Whoever finds an instance with the mark finishes it. Deleting goes the other way: the security group, then the instance,
by which it is found again, and with it its disks. A change that needs a stopped server is marked open=changing before
it is stopped: whoever repeats the change starts it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...errors import ProviderError
from ...provider import Wish
from .. import access
from ..loopback import is_loopback, ssh_behind
from . import disks, identity, images, walls
from .account import Account, is_said
from .identity import KEY, OPEN
from .setting import Setting
from .userdata import user_data

Raw = dict[str, Any]
MAKING, CHANGING = "making", "changing"
LIVING = ("pending", "running", "stopping", "stopped")
_GENERATIONS_MAX = 50


class Servers:
    def __init__(self, account: Account, setting: Setting, workspace: Path) -> None:
        self._account = account
        self._setting = setting
        self._workspace = workspace
        self._on_loopback = setting.url is not None and is_loopback(setting.url)
        self._places: dict[str, dict[str, Any]] = {}

    # --- making -----------------------------------------------------------------------------------------------------

    def make(self, wish: Wish, spec: Mapping[str, Any], subnet: Raw | None) -> tuple[Raw, bool]:
        """The instance and whether it was made now; not finished then.

        A token that EC2 knows with other parameters is that of an earlier wish for this key: then there is the
        instance, or there was: the next generation is tried.
        """
        doing = f"creating server {wish.name}"
        asked = self._request(wish, spec, subnet, doing)
        for generation in range(_GENERATIONS_MAX):
            token = identity.token("server", wish.key, generation)
            try:
                instance = self._account.ask(doing, self._account.ec2.run_instances, ClientToken=token, **asked)
                made, created = instance["Instances"][0], True
            except ProviderError as error:
                if not is_said(error, "IdempotentParameterMismatch"):
                    raise
                made, created = self._of_token(token, doing), False
            if made is not None and made["State"]["Name"] in LIVING:
                return made, created
        raise ProviderError(
            f"{doing}: made and deleted {_GENERATIONS_MAX} times already", code="too_many", retryable=False
        )

    def _of_token(self, token: str, doing: str) -> Raw | None:
        """What was made with it; None where nothing shows up: it is gone for long."""
        found: list[Raw] = []

        def look() -> bool:
            found[:] = self._described(doing, [{"Name": "client-token", "Values": [token]}])
            return bool(found)

        try:
            self._account.until(doing, look, within_s=self._account.settle_s)
        except ProviderError as error:
            if error.code != "stuck":
                raise
        return found[0] if found else None

    def _request(self, wish: Wish, spec: Mapping[str, Any], subnet: Raw | None, doing: str) -> dict[str, Any]:
        own = access.workspace_key(self._workspace)
        image, root = images.lookup(self._account, spec["image"], doing)
        tags = identity.tags_of(wish) | {OPEN: MAKING, identity.IMAGE: spec["image"]}
        tags |= disks.device_tags(spec["storages"])
        parts = {identity.OF: wish.key, identity.CONSOLE: wish.name}
        where: dict[str, Any] = {"Placement": {"AvailabilityZone": spec["zone"]}}
        return {
            "MinCount": 1,
            "MaxCount": 1,
            "ImageId": image,
            "InstanceType": spec["plan"],
            "KeyName": self._key_pair(own, doing),
            "UserData": user_data([own, *spec["ssh_keys"]], spec["user_data"]),
            "BlockDeviceMappings": disks.mappings(root, spec["disk_gb"], spec["storages"]),
            "MetadataOptions": {"HttpTokens": "required"},
            "TagSpecifications": [
                *identity.specification("instance", tags),
                *identity.specification("volume", parts),
            ],
        } | ({"SubnetId": subnet["SubnetId"]} if subnet else where)

    def _key_pair(self, public_key: str, doing: str) -> str:
        """The workspace's, under a name that is of its content; it stays when servers go."""
        name = f"provisioning-{hashlib.sha256(public_key.encode()).hexdigest()[:20]}"
        asked = {"KeyName": name, "PublicKeyMaterial": public_key.encode()}
        try:
            self._account.ask(doing, self._account.ec2.import_key_pair, **asked)
        except ProviderError as error:
            if not is_said(error, "InvalidKeyPair.Duplicate"):
                raise
        return name

    def finish(self, id: str, spec: Mapping[str, Any] | None, inside: str | None, doing: str) -> Raw:
        """Protected, running and reachable. spec: None where it only has to run. inside: its network's range."""
        self._account.until(doing, lambda: self.get(id) is not None)
        instance = self.there(id, doing)
        tags = identity.from_list(instance["Tags"])
        if spec is not None and tags.get(OPEN) == MAKING:
            walls.ensure(self._account, instance, tags[KEY], spec["firewall"], self._setting.ssh_from, inside)
        instance = self._start(instance, doing)
        # The mark goes last: until somebody was let in, whoever comes by has to find that it is not done.
        self.wait_for_ssh(instance)
        if OPEN in tags:
            self.retag(id, {}, (OPEN,), doing)
        return self.there(id, doing)

    def wait_for_ssh(self, instance: Raw) -> None:
        if self._setting.wait_for_ssh:
            limits = {"deadline_s": self._setting.deadline_s, "poll_s": self._setting.poll_s}
            name = str(identity.from_list(instance["Tags"]).get(identity.NAME, instance["InstanceId"]))
            access.wait_for_ssh(self.ssh(instance), name=name, **limits)

    # --- changing ---------------------------------------------------------------------------------------------------

    def retag(self, id: str, put: Mapping[str, str], off: Iterable[str], doing: str) -> None:
        ec2, late = self._account.ec2, ("not_found",)
        if put:
            self._account.patiently(doing, late, ec2.create_tags, Resources=[id], Tags=identity.to_list(put))
        if gone := [{"Key": name} for name in off]:
            self._account.patiently(doing, late, ec2.delete_tags, Resources=[id], Tags=gone)

    def change_plan(self, instance: Raw, plan: str, doing: str) -> None:
        """Stopped for it, and marked first where it runs, so that it is started again."""
        id = instance["InstanceId"]
        if instance["State"]["Name"] in ("pending", "running"):
            self.retag(id, {OPEN: CHANGING}, (), doing)
        self.power(id, "stop", doing)
        asked = {"InstanceId": id, "InstanceType": {"Value": plan}}
        self._account.patiently(doing, ("busy",), self._account.ec2.modify_instance_attribute, **asked)

    def power(self, id: str, action: str, doing: str) -> Raw:
        state = self.there(id, doing)["State"]["Name"]
        if action == "stop":
            if state in ("pending", "running"):
                self._account.patiently(doing, ("busy",), self._account.ec2.stop_instances, InstanceIds=[id])
            self._account.wait(doing, "instance_stopped", InstanceIds=[id])
        elif action == "reboot" and state == "running":
            self._account.ask(doing, self._account.ec2.reboot_instances, InstanceIds=[id])
            self._account.wait(doing, "instance_running", InstanceIds=[id])
        else:
            self._start(self.there(id, doing), doing)
        return self.there(id, doing)

    def delete(self, instance: Raw) -> None:
        id, tags = instance["InstanceId"], identity.from_list(instance["Tags"])
        doing = f"deleting server {tags.get(identity.NAME, id)}"
        walls.remove(self._account, instance, tags[KEY])
        self._account.ask(doing, self._account.ec2.terminate_instances, InstanceIds=[id])
        self._account.wait(doing, "instance_terminated", InstanceIds=[id])
        access.forget_host(self.ssh(instance))

    # --- looking ----------------------------------------------------------------------------------------------------

    def get(self, id: str) -> Raw | None:
        """None where it is not there, is going, or can't be seen yet."""
        return next(iter(self.living([{"Name": "instance-id", "Values": [id]}])), None)

    def there(self, id: str, doing: str) -> Raw:
        found = self.get(id)
        if found is None:
            raise ProviderError(f"{doing}: it was deleted meanwhile", code="not_found", retry_after_s=1)
        return found

    def living(self, filters: list[Raw]) -> list[Raw]:
        found = self._described("looking at servers", filters)
        return [each for each in found if each["State"]["Name"] in LIVING]

    def ssh(self, instance: Raw) -> dict[str, Any]:
        id = instance["InstanceId"]
        place: dict[str, Any] = {"host": address(instance), "port": 22, "user": self._setting.ssh_user}
        if self._on_loopback:
            if id not in self._places:
                self._places = ssh_behind(str(self._setting.url))
            place |= self._places.get(id, {})
        return access.ssh_of(self._workspace, "aws", id, **place)

    def _described(self, doing: str, filters: list[Raw]) -> list[Raw]:
        found = self._account.every(doing, "describe_instances", Filters=filters)
        every = [each for reservation in found for each in reservation["Instances"]]
        for each in every:
            each.setdefault("Tags", [])
        return every

    def _start(self, instance: Raw, doing: str) -> Raw:
        id = instance["InstanceId"]
        if instance["State"]["Name"] == "stopping":
            self._account.wait(doing, "instance_stopped", InstanceIds=[id])
        if instance["State"]["Name"] in ("stopping", "stopped"):
            self._account.patiently(doing, ("busy",), self._account.ec2.start_instances, InstanceIds=[id])
        self._account.wait(doing, "instance_running", InstanceIds=[id])
        return self.there(id, doing)


def address(instance: Raw) -> str:
    """Public where it has one: it changes with each stop and start."""
    return str(instance.get("PublicIpAddress") or instance.get("PrivateIpAddress") or "")

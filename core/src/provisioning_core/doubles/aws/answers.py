"""moto's answers, made to say what EC2 would: states that take their time, what is not visible yet, our addresses."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
# What a thing is in comes after what it is.
_IDS = ("instanceId", "volumeId", "internetGatewayId", "subnetId", "groupId", "vpcId")


@dataclass(frozen=True, slots=True)
class Passing:
    """A state on the way to the one that moto already has. until: wall time."""

    state: str
    until: float


@dataclass(frozen=True, slots=True)
class View:
    """passing, addresses, private: by instance id; private: of those that have a machine behind them. hidden: ids that
    no answer shows yet. ready: is up what is behind it?"""

    passing: Mapping[str, Passing]
    addresses: Mapping[str, str]
    private: Mapping[str, str]
    hidden: frozenset[str]
    ready: Callable[[str], bool]


def shown(content: bytes, view: View) -> bytes:
    """An answer of a Describe or RunInstances as it is to leave."""
    root = _parsed(content)
    for parent in root.iter():
        if parent.tag.endswith("Set") or _name(parent) in ("securityGroupInfo",):
            for item in list(parent):
                if _own_id(item) in view.hidden:
                    parent.remove(item)
    for reservations in root.iter(f"{{{NAMESPACE}}}reservationSet"):
        for item in list(reservations):
            instances = item.find(f"{{{NAMESPACE}}}instancesSet")
            if instances is not None and len(instances) == 0:
                reservations.remove(item)
    for instances in root.iter(f"{{{NAMESPACE}}}instancesSet"):
        for item in instances:
            _dress(item, view)
    return _written(root)


def replayed(content: bytes, action: str, holder: str) -> bytes:
    """The answer to a repeated create: what a Describe says of the thing, in the create's envelope."""
    root = _parsed(content)
    found = next(root.iter(f"{{{NAMESPACE}}}{holder}"), None)
    again = ET.Element(f"{{{NAMESPACE}}}{action}Response")
    for child in found[0] if found is not None and len(found) else ():
        again.append(child)
    return _written(again)


def _dress(item: ET.Element, view: View) -> None:
    """One instance: its state of now, its address."""
    id = item.findtext(f"{{{NAMESPACE}}}instanceId") or ""
    passing = view.passing.get(id)
    state = item.find(f"{{{NAMESPACE}}}instanceState")
    if state is not None and passing is not None and (time.time() < passing.until or not view.ready(id)):
        _set(state, "code", str(CODES[passing.state]))
        _set(state, "name", passing.state)
    if item.find(f"{{{NAMESPACE}}}ipAddress") is not None and id in view.addresses:
        _set(item, "ipAddress", view.addresses[id])
        _set(item, "dnsName", "")
        for inside in item.iter(f"{{{NAMESPACE}}}publicIp"):
            inside.text = view.addresses[id]
    if id in view.private:
        for inside in item.iter(f"{{{NAMESPACE}}}privateIpAddress"):
            inside.text = view.private[id]


def _own_id(item: ET.Element) -> str | None:
    return next((found for name in _IDS if (found := item.findtext(f"{{{NAMESPACE}}}{name}"))), None)


def _set(parent: ET.Element, name: str, text: str) -> None:
    child = parent.find(f"{{{NAMESPACE}}}{name}")
    (child if child is not None else ET.SubElement(parent, f"{{{NAMESPACE}}}{name}")).text = text


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _parsed(content: bytes) -> ET.Element:
    """In one namespace, whichever date moto put into it."""
    text = re.sub(rb'xmlns="[^"]*"', f'xmlns="{NAMESPACE}"'.encode(), content, count=1)
    return ET.fromstring(text)  # noqa: S314  # it is moto's


def _written(root: ET.Element) -> bytes:
    ET.register_namespace("", NAMESPACE)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content

# mypy: ignore-errors
"""A practice cloud, one file per resource: the beginning of a provider of your own. Plain Python, nothing else.

It is run with a verb as its only argument, reads one line of JSON, and prints one JSON object per line: announcements,
then its answer. What is asked and answered: contract/provider.json. Words to standard error go to the log.

It may be killed at any instant. So: create finds before it makes (by intent, then by key), makes by one atomic call of
the cloud, and finishes what a killed one has begun. Everything below `the cloud` is what you replace.
"""

import contextlib
import fcntl
import json
import os
import sys
import uuid
from pathlib import Path

CLOUD = Path(os.environ["PROVISIONING_WORKSPACE"]) / ".practice"
ZONES = ["here", "there"]
PLANS = {"1cpu-1gb": (1, 1), "2cpu-4gb": (2, 4), "4cpu-8gb": (4, 8)}
CAPABILITIES = {
    "kinds": ["network", "server"],
    "flags": ["labels", "plans", "power", "update", "zones"],
    "effects": {"server": {"labels": "in_place", "plan": "restart"}, "network": {"labels": "in_place"}},
    "normalize": True,
}


class Refused(Exception):
    """The third word says whether the same call may be made again: (code, message, retryable)."""


def create(asked):
    wish = asked["wish"]
    spec = normalized(wish["kind"], wish["spec"])
    if not wish["name"].isprintable() or not 0 < len(wish["name"]) <= 63:
        raise Refused("bad_name", f"{wish['name']!a} is no name: 1 to 63 characters that can be printed", False)
    with locked():
        one = found(wish["kind"], wish["intent"], wish["key"])
        created = one is None
        if one is None:
            one = {name: wish[name] for name in ("kind", "key", "intent", "infra", "name")}
            one |= {"id": uuid.uuid4().hex, "state": "creating", "attributes": {"labels": wish["labels"], "spec": spec}}
            save(one)
    say({"announce": one})
    restarted = one["state"] == "stopped"
    return {"created": created, "restarted": restarted, "resource": change(one, state="started")}


def find(asked):
    return {"resource": found(asked["kind"], asked["intent"], asked["key"])}


def get(asked):
    return {"resource": by_id(asked["kind"], asked["id"])}


def list_(asked):
    return {"resources": [one for one in everything(asked["kind"]) if asked["infra"] in (None, one["infra"])]}


def delete(asked):
    with locked():
        one = by_id(asked["kind"], asked["id"])
        if one is not None:
            file_of(one).unlink()
    return {"deleted": one is not None}


def normalize(asked):
    return {"spec": normalized(asked["kind"], asked["spec"])}


def normalized(kind, spec):
    """In this cloud's own terms: each field that it knows, filled in. All that is wrong in one message."""
    known = {"server": ["plan", "cpus", "memory_gb", "zone", "network"], "network": ["cidr", "zone"]}[kind]
    faults = [f"no field {name!a}; there are: {', '.join(known)}" for name in spec if name not in known]
    zone = spec.get("zone") or ZONES[0]
    if zone not in ZONES:
        faults.append(f"no zone {zone!a}; there are: {', '.join(ZONES)}")
    cpus, memory_gb = spec.get("cpus") or 1, spec.get("memory_gb") or 1
    enough = [name for name, (has_cpus, has_gb) in PLANS.items() if has_cpus >= cpus and has_gb >= memory_gb]
    plan = spec.get("plan") or (enough or [None])[0]
    if kind == "server" and plan not in PLANS:
        faults.append(f"no plan {plan!a}; there are: {', '.join(PLANS)}")
    if faults:
        raise Refused("bad_spec", f"{kind}: {'; '.join(faults)}", False)
    return {"zone": zone} | (
        {"cidr": spec.get("cidr")} if kind == "network" else {"plan": plan, "network": spec.get("network")}
    )


def update(asked):
    wish = asked["wish"]
    one = must_get(wish["kind"], asked["id"])
    now, wanted = one["attributes"]["spec"], normalized(wish["kind"], wish["spec"])
    changes = CAPABILITIES["effects"][wish["kind"]]
    if fixed := [name for name in wanted if wanted[name] != now[name] and name not in changes]:
        raise Refused("needs_replacement", f"{wish['name']}: {', '.join(fixed)} can't be changed in what exists", False)
    return {"resource": change(one, attributes={"labels": wish["labels"], "spec": wanted})}


def power(asked):
    state = "stopped" if asked["action"] == "stop" else "started"
    return {"resource": change(must_get("server", asked["id"]), state=state)}


# --- the cloud --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked():
    """A lock that ends with its holder, however that ends."""
    CLOUD.mkdir(parents=True, exist_ok=True)
    with (CLOUD / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def file_of(one):
    return CLOUD / f"{one['kind']}-{one['id']}.json"


def save(one):
    """Renamed into place: whoever reads it finds all of it or nothing."""
    part = CLOUD / f"{uuid.uuid4().hex}.part"
    part.write_text(json.dumps(one))
    part.replace(file_of(one))


def everything(kind):
    files = sorted(CLOUD.glob(f"{kind}-*.json"))
    return sorted((told(json.loads(file.read_text())) for file in files), key=lambda one: one["key"])


def told(one):
    """With what is told of a server beyond what is kept."""
    if one["kind"] == "server":
        ssh = {"host": "192.0.2.1", "port": 22, "user": "root", "identity_file": "", "known_hosts_file": ""}
        spec = one["attributes"]["spec"]
        one["attributes"] |= {"address": "192.0.2.1", "zone": spec["zone"], "plan": spec["plan"], "ssh": ssh}
        ssh["port"] = 1024 + int(one["id"][:6], 16) % 60000  # there is no machine: as if each had an address of its own
    return one


def found(kind, intent, key):
    every = everything(kind)
    by_intent = (one for one in every if intent is not None and one["intent"] == intent)
    return next(by_intent, None) or next((one for one in every if key is not None and one["key"] == key), None)


def by_id(kind, id):
    return next((one for one in everything(kind) if one["id"] == id), None)


def must_get(kind, id):
    one = by_id(kind, id)
    if one is None:
        raise Refused("not_found", f"there is no {kind} {id!a}", False)
    return one


def change(one, attributes=(), **fields):
    """As it is then; where somebody has deleted it meanwhile, it stays deleted."""
    with locked():
        now = by_id(one["kind"], one["id"]) or one
        now |= fields
        now["attributes"] |= dict(attributes)
        if file_of(now).exists():
            save(now)
    return told(now)


# --- the protocol -----------------------------------------------------------------------------------------------------

VERBS = {
    "capabilities": lambda asked: {"capabilities": CAPABILITIES},
    "zones": lambda asked: {"zones": ZONES},
    "plans": lambda asked: {"plans": [{"name": name, "cpus": c, "memory_gb": m} for name, (c, m) in PLANS.items()]},
}
VERBS |= {"create": create, "find": find, "get": get, "list": list_, "delete": delete}
VERBS |= {"normalize": normalize, "update": update, "power": power}


def say(answer):
    print(json.dumps(answer), flush=True)


def main(verb):
    try:
        if verb not in VERBS:
            raise Refused("unknown_verb", f"no verb {verb!a}", False)
        say(VERBS[verb](json.load(sys.stdin)))
    except Refused as refused:
        code, message, retryable = refused.args
        say({"error": {"code": code, "message": message, "retryable": retryable}})


if __name__ == "__main__":
    main(sys.argv[1])

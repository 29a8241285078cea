"""Behind `provisioning taskserv`: look at what stands where, say it, ask, and have it done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..render.text import clean, plural
from . import exits
from .call import Call, Manner
from .exits import Exit
from .inventory import open_workspace, workspace_here
from .performing import check_confirmed, confirmed, perform, refused
from .session import Session

if TYPE_CHECKING:
    from ..plan.standing import Standing
    from ..taskservs.parameter import Parameter
    from ..workspace import Workspace

_SIGNS = {"install": ("+", "good"), "change": ("~", "busy"), "exists": ("=", "dim"), "unknown": ("?", "warn")}
_WORDS = {"install": "to install", "change": "to change", "exists": "there already", "unknown": "not known"}
HEAD = ("NAME", "TASKSERV", "SERVER", "STATE", "INSTALLED", "WISHED", "LAYER")
HEAD_UPDATES = ("NAME", "TASKSERV", "SERVER", "INSTALLED", "WISHED", "CANDIDATE", "UPDATE")
_STATES = {"install": "absent", "change": "differs", "exists": "installed", "unknown": "unknown"}


@dataclass(frozen=True, slots=True)
class Service:
    """What the command line asks for. names, servers: empty for all."""

    verb: Literal["create", "delete"]
    infra: str
    names: tuple[str, ...]
    servers: tuple[str, ...]
    manner: Manner
    purge: bool = False

    @property
    def params(self) -> dict[str, Any]:
        given = {"taskservs": list(self.names), "servers": list(self.servers)}
        return {name: value for name, value in given.items() if value} | ({"purge": True} if self.purge else {})

    @property
    def command(self) -> str:
        """What to type to do it again."""
        words = [f"provisioning taskserv {self.verb}", self.infra, *self.names]
        words += [f"--server {name}" for name in self.servers] + (["--purge"] if self.purge else [])
        return " ".join([*words, "--orchestrated"] if self.manner.orchestrated else words)


def service(session: Session, wish: Service) -> None:
    """Raises Exit with the code that tells how it ended."""
    wish.manner.timeout_s()
    taking = f"removing taskservs of {wish.infra}" if wish.verb == "delete" else None
    check_confirmed(session, wish.manner, wish.infra, taking, wish.command)
    workspace = open_workspace(session)
    lines, to_do, document = _planned(workspace, wish)
    if wish.manner.check:
        _print_plan(session, wish, lines, document)
        raise Exit(exits.CHANGES if wish.manner.exit_code and to_do else exits.SUCCEEDED)
    session.say(f"Taskservs of {wish.infra}")
    for sign, style, text in lines:
        session.say(f"  {session.err.paint(sign, style)} {clean(text)}")
    if not to_do and wish.verb == "delete":
        session.say("Nothing to do.")
        return
    # A create is performed also where all marks are there: only that sees whether the services are healthy.
    if to_do:
        _ask(session, wish)
    perform(session, workspace, Call("taskservs", wish.verb, wish.infra, wish.params, wish.command), wish.manner)
    if wish.verb == "create":
        list_standing(session, wish.infra, wish.names, wish.servers)


def _planned(workspace: Workspace, wish: Service) -> tuple[list[tuple[str, str, str]], int, list[dict[str, Any]]]:
    """Lines of sign, style and text; how many of them are to be done; the same as data."""
    if wish.verb == "create":
        found = _standings(workspace, wish.infra, wish.names, wish.servers)
        lines = [(*_SIGNS[each.action], f"{each.name} on {each.server}  {each.why}".rstrip()) for each in found]
        return lines, sum(each.action != "exists" for each in found), [asdict(each) for each in found]
    from ..plan.servicing import delete_tasks

    names, servers = list(wish.names) or None, list(wish.servers) or None
    tasks = [task["params"] for task in delete_tasks(workspace, wish.infra, names, servers, purge=wish.purge)]
    data = ", with its data" if wish.purge else ""
    lines = [("-", "bad", f"{each['name']} on {each['server']}{data}") for each in tasks]
    document = [{"name": each["name"], "server": each["server"], "action": "delete"} for each in tasks]
    return lines, len(tasks), document


def _standings(
    workspace: Workspace, infra: str, names: Sequence[str], servers: Sequence[str], *, updates: bool = False
) -> list[Standing]:
    from ..clouds import Clouds
    from ..infra import load_infra
    from ..plan.servicing import create_tasks
    from ..plan.standing import standings

    definition = load_infra(workspace, infra, manifests=True)
    tasks = create_tasks(workspace, definition, list(names) or None, list(servers) or None)
    return standings(Clouds(workspace), infra, tasks, candidates=updates)


def _print_plan(session: Session, wish: Service, lines: Sequence[tuple[str, str, str]], document: list[Any]) -> None:
    if session.form == "name":
        session.print("\n".join(f"{each['name']}.{each['server']}" for each in document if each["action"] != "exists"))
    elif not session.for_people:
        session.print_document("TaskservPlan", {"infra": wish.infra, "taskservs": document}, "infra")
    else:
        session.print("\n".join(f"{session.out.paint(sign, style)} {clean(text)}" for sign, style, text in lines))
        counts = {word: sum(each["action"] == action for each in document) for action, word in _WORDS.items()}
        said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        session.say(f"{said or plural(len(document), 'taskserv') + ' to remove'}.")


def _ask(session: Session, wish: Service) -> None:
    if wish.manner.yes or wish.manner.confirm is not None or not session.can_ask():
        return
    if wish.verb == "delete" and wish.purge:
        session.err.say(f"Their data is deleted for good. Type {wish.infra} to go on, anything else to stop.")
        wanted = confirmed(session, "Purge:", wish.infra)
    else:
        wanted = confirmed(session, "Install? [y/N]" if wish.verb == "create" else "Remove? [y/N]")
    if not wanted:
        raise refused(session)


# --- what there is ---------------------------------------------------------------------------------------------------


def list_available(session: Session) -> None:
    """All folders, those of every infrastructure too, with the layer that counts and those that it hides."""
    from ..errors import ProvisioningError
    from ..taskservs import all_taskservs

    workspace = workspace_here(session)
    items: list[dict[str, Any]] = []
    seen: set[str] = set()
    for infra in [None, *(workspace.infra_names() if workspace else ())]:
        for each in all_taskservs(workspace, infra):
            if str(each.folder) in seen:
                continue
            seen.add(str(each.folder))
            try:
                version, description = each.manifest.version, each.manifest.description
            except ProvisioningError as error:
                version, description = "?", error.message.splitlines()[0]
            layer = f"infra {infra}" if each.layer == "infra" else each.layer
            items.append(
                {
                    "name": each.name,
                    "version": version,
                    "layer": layer,
                    "hides": list(each.hidden),
                    "description": description,
                    "folder": str(each.folder),
                }
            )

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        plain = (item["name"], item["version"], item["layer"], ",".join(item["hides"]), clean(item["description"]))
        return (*plain, item["folder"]) if session.wide else plain

    head = ("NAME", "VERSION", "LAYER", "HIDES", "DESCRIPTION") + (("FOLDER",) if session.wide else ())
    items.sort(key=lambda item: (item["name"], item["layer"]))
    session.print_list("TaskservList", items, head, row, name_field="name", empty="no taskservs")
    if workspace is None:
        session.say("Here is no workspace: these are built in.")


def list_standing(
    session: Session, infra: str, names: Sequence[str] = (), servers: Sequence[str] = (), *, updates: bool = False
) -> None:
    """Those that are declared, as their servers say it. updates: what could be newer."""
    found = _standings(open_workspace(session), infra, names, servers, updates=updates)
    items = [asdict(each) | {"state": _STATES[each.action], "update": each.update} for each in found]

    def row(item: Mapping[str, Any]) -> tuple[str, ...]:
        where = (item["name"], item["taskserv"], item["server"])
        installed = item["installed"] or ""
        if updates:
            return (*where, installed, item["version"], item["candidate"] or "", item["update"] or "")
        return (*where, item["state"], installed, item["version"], item["layer"])

    if session.form == "name":
        session.print("\n".join(f"{each.name}.{each.server}" for each in found))
        return
    head = HEAD_UPDATES if updates else HEAD
    session.print_list(
        "TaskservStandingList", items, head, row, name_field="name", empty=f"{infra} declares no taskservs"
    )
    for each in found:
        if each.why and each.action in ("unknown", "change"):
            session.say(f"{session.err.paint('note:', 'warn')} {clean(f'{each.name} on {each.server}: {each.why}')}")


def show_taskserv(session: Session, name: str, infra: str | None) -> None:
    from ..render.table import table
    from ..taskservs import find_taskserv

    workspace = open_workspace(session) if infra is not None else workspace_here(session)
    if infra is not None and workspace is not None:
        workspace.infra_file(infra)
    found = find_taskserv(workspace, infra, name)
    manifest = found.manifest
    parameters = [_described(each) for each in manifest.parameters]
    item = {
        "name": name,
        "version": manifest.version,
        "description": manifest.description,
        "layer": found.layer,
        "hides": list(found.hidden),
        "folder": str(found.folder),
        "form": manifest.form,
        "needs": list(manifest.needs),
        "supports": list(manifest.supports),
        "parameters": parameters,
    }
    if not session.for_people:
        session.print_document("Taskserv", item, "name")
        return
    session.print(f"{name} {manifest.version}   {clean(manifest.description)}")
    session.print(f"from {found.layer}: {found.folder}")
    for title, words in (("needs", manifest.needs), ("supports", manifest.supports)):
        if words:
            session.print(f"{title}: {', '.join(words)}")
    if parameters:
        head = ("PARAMETER", "ACCEPTED", "DEFAULT", "DESCRIPTION")
        rows = [(each["name"], each["accepted"], _default(each), clean(each["description"])) for each in parameters]
        session.print("\n" + table(head, rows, session.out))


def _described(parameter: Parameter) -> dict[str, Any]:
    accepted = "secret://NAME" if parameter.secret else parameter.accepted
    plain = {"name": parameter.name, "type": parameter.type, "required": parameter.required, "accepted": accepted}
    return plain | {"default": parameter.default, "description": parameter.description}


def _default(described: Mapping[str, Any]) -> str:
    if described["required"]:
        return "(required)"
    return "" if described["default"] is None else str(described["default"])

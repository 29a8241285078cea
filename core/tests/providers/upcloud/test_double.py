"""The double on the wire, asked by UpCloud's own SDK and by hand: shapes, states, refusals."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
import upcloud_api

from provisioning_core.doubles.upcloud import UpCloudDouble

from ..machines import eventually
from .conftest import call

TEMPLATE = "01000000-0000-4000-8000-000020070100"


@pytest.fixture
def manager(double: UpCloudDouble) -> Any:
    manager = upcloud_api.CloudManager(token="anything", timeout=10)
    manager.api.api_root = f"{double.url}/1.3"
    return manager


def body(name: str = "web", **more: Any) -> dict[str, Any]:
    disk = {"action": "clone", "storage": TEMPLATE, "title": "boot", "size": 20}
    fields = {"hostname": name, "title": name, "zone": "fi-hel1", "plan": "2xCPU-4GB", "metadata": "yes"}
    return {"server": fields | {"storage_devices": {"storage_device": [disk]}} | more}


def labels(**pairs: str) -> dict[str, Any]:
    return {"labels": {"label": [{"key": key, "value": value} for key, value in pairs.items()]}}


def refused(double: UpCloudDouble, method: str, path: str, fields: Any = None, token: str = "x") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    sent = None if fields is None else json.dumps(fields).encode()
    request = urllib.request.Request(f"{double.url}/1.3{path}", sent, headers, method=method)
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=10)
    return raised.value.code, json.load(raised.value)


def started(double: UpCloudDouble, id: str) -> None:
    eventually(lambda: call(double, "GET", f"/server/{id}")["server"]["state"] == "started")


def test_a_server_is_made_in_maintenance_and_starts_by_itself(double: UpCloudDouble) -> None:
    server = call(double, "POST", "/server", body(**labels(role="web")))["server"]
    assert (server["state"], server["progress"]) == ("maintenance", "0")
    assert (server["core_number"], server["memory_amount"], server["plan"]) == ("2", "4096", "2xCPU-4GB")
    assert server["labels"] == {"label": [{"key": "role", "value": "web"}]}
    assert server["password"]
    assert {each["access"] for each in server["ip_addresses"]["ip_address"]} == {"public", "utility"}
    assert server["storage_devices"]["storage_device"][0]["storage_size"] == 20
    started(double, server["uuid"])
    again = call(double, "GET", f"/server/{server['uuid']}")["server"]
    assert "password" not in again and "progress" not in again


def test_the_sdk_reads_stops_deletes_and_misses_a_server(double: UpCloudDouble, manager: Any) -> None:
    id = call(double, "POST", "/server", body())["server"]["uuid"]
    started(double, id)
    server = manager.get_server(id)
    assert (server.state, server.zone, server.storage_devices[0].size) == ("started", "fi-hel1", 20)
    with pytest.raises(upcloud_api.UpCloudAPIError, match="SERVER_STATE_ILLEGAL"):
        manager.delete_server(id)
    server.stop()
    assert call(double, "GET", f"/server/{id}")["server"]["state"] == "started", "as recorded: not at once"
    eventually(lambda: manager.get_server(id).state == "stopped")
    manager.delete_server(id, delete_storages=True)
    assert double.ledger.existing() == []
    assert [each.kind for each in double.ledger.created()] == ["storage", "server"]
    with pytest.raises(upcloud_api.UpCloudAPIError, match="SERVER_NOT_FOUND"):
        manager.get_server(id)


def test_without_deleting_storages_the_disks_stay(double: UpCloudDouble, manager: Any) -> None:
    id = call(double, "POST", "/server", body())["server"]["uuid"]
    started(double, id)
    call(double, "POST", f"/server/{id}/stop", {"stop_server": {"stop_type": "hard"}})
    eventually(lambda: manager.get_server(id).state == "stopped")
    manager.delete_server(id)
    assert [each.kind for each in double.ledger.existing()] == ["storage"]


def test_lists_are_filtered_by_all_labels_given_and_paged(double: UpCloudDouble) -> None:
    for number in range(5):
        call(double, "POST", "/server", body(f"s{number}", **labels(Role="web", number=str(number))))

    def names(query: str) -> list[str]:
        return [row["hostname"] for row in call(double, "GET", f"/server{query}")["servers"]["server"]]

    assert len(names("")) == 5
    assert names("/?label=role&label=number%3D3") == ["s3"], "keys regardless of case, all must hold"
    assert names("?label=number%3D9") == []
    assert names("?limit=2&offset=3") == ["s3", "s4"]
    assert names("?limit=2&offset=9") == []


def test_a_new_resource_is_missing_from_lists_for_a_while_and_not_from_answers(double: UpCloudDouble) -> None:
    double.faults.change({"lag_s": 3600})
    id = call(double, "POST", "/server", body())["server"]["uuid"]
    assert call(double, "GET", "/server")["servers"]["server"] == []
    assert call(double, "GET", f"/server/{id}")["server"]["uuid"] == id


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"hostname": "a b"}, 400, "HOSTNAME_INVALID"),
        ({"zone": "xx-xxx1"}, 404, "ZONE_NOT_FOUND"),
        ({"title": ""}, 400, "SERVER_TITLE_MISSING"),
        ({"plan": "9xCPU-9GB"}, 404, "PLAN_NOT_FOUND"),
        ({"metadata": "no"}, 409, "METADATA_DISABLED_ON_CLOUD-INIT"),
        ({"storage_devices": {}}, 400, "STORAGE_DEVICES_MISSING"),
        (labels(_x="1"), 400, "INVALID_LABEL_KEY"),
        (labels(x="1"), 400, "INVALID_LABEL_KEY"),
        (labels(name="v" * 256), 400, "INVALID_LABEL_VALUE"),
        (labels(name="a", NAME="b"), 400, "DUPLICATE_LABEL_KEYS"),
        ({"networking": {"interfaces": {"interface": [{"type": "odd"}]}}}, 400, "NETWORK_TYPE_INVALID"),
    ],
)
def test_a_bad_create_is_refused_and_makes_nothing(
    double: UpCloudDouble, more: dict[str, Any], status: int, code: str
) -> None:
    answer = refused(double, "POST", "/server", body(**more))
    assert (answer[0], answer[1]["error"]["error_code"]) == (status, code)
    assert double.ledger.existing() == []


def test_both_shapes_of_errors_are_spoken(double: UpCloudDouble) -> None:
    assert refused(double, "GET", "/server/invalid")[1]["error"]["error_code"] == "SERVER_INVALID"
    double.faults.change({"verbs": {"list": {"error": 1}}})
    status, problem = refused(double, "GET", "/server")
    assert (status, problem["status"], problem["type"].rpartition("#")[2]) == (503, 503, "ERROR_SERVICE_UNAVAILABLE")
    assert refused(double, "GET", "/load-balancer")[0] == 404


def test_credentials_are_asked_for(double: UpCloudDouble, tmp_path: Any) -> None:
    status, answer = refused(double, "GET", "/account", token="")
    assert (status, answer["error"]["error_code"]) == (401, "AUTHENTICATION_FAILED")
    with UpCloudDouble(tmp_path / "strict", token="the-only-one") as strict:
        assert refused(strict, "GET", "/account")[0] == 401
        request = urllib.request.Request(f"{strict.url}/1.3/account", headers={"Authorization": "Bearer the-only-one"})
        assert urllib.request.urlopen(request, timeout=10).status == 200


def test_storages_are_attached_detached_and_grow_under_a_stopped_server_only(
    double: UpCloudDouble, manager: Any
) -> None:
    id = call(double, "POST", "/server", body())["server"]["uuid"]
    started(double, id)
    fields = {"title": "data", "zone": "fi-hel1", "size": "10", "labels": [{"key": "use", "value": "data"}]}
    storage = call(double, "POST", "/storage", {"storage": fields})["storage"]
    assert (storage["size"], storage["labels"], storage["state"]) == (10, fields["labels"], "online")
    device = {"type": "disk", "address": "virtio", "storage": storage["uuid"]}
    server = call(double, "POST", f"/server/{id}/storage/attach", {"storage_device": device})["server"]
    assert [each["address"] for each in server["storage_devices"]["storage_device"]] == ["virtio:0", "virtio:1"]
    path = f"/storage/{storage['uuid']}"
    assert refused(double, "DELETE", path)[1]["error"]["error_code"] == "STORAGE_ATTACHED"
    assert refused(double, "PUT", path, {"storage": {"size": "20"}})[0] == 409
    assert refused(double, "PUT", path, {"storage": {"size": "5"}})[1]["error"]["error_code"] == "SIZE_INVALID"
    call(double, "POST", f"/server/{id}/storage/detach", {"storage_device": {"address": "virtio:1"}})
    assert call(double, "PUT", path, {"storage": {"size": "20"}})["storage"]["size"] == 20
    call(double, "DELETE", path)
    titles = [row["title"] for row in call(double, "GET", "/storage/template")["storages"]["storage"]]
    assert "Debian GNU/Linux 12 (Bookworm)" in titles


def test_a_network_with_servers_stays(double: UpCloudDouble, manager: Any) -> None:
    network = manager.create_network("net", "fi-hel1", "10.5.0.0/24", "yes", "IPv4")
    interfaces = {"interfaces": {"interface": [{"type": "public"}, {"type": "private", "network": network.uuid}]}}
    server = call(double, "POST", "/server", body(networking=interfaces))["server"]
    private = server["networking"]["interfaces"]["interface"][1]
    assert private["ip_addresses"]["ip_address"][0]["address"].startswith("10.5.0.")
    assert refused(double, "DELETE", f"/network/{network.uuid}")[1]["error"]["error_code"] == "NETWORK_NOT_EMPTY"
    shown = call(double, "GET", f"/network/{network.uuid}")["network"]
    assert shown["servers"]["server"] == [{"title": "web", "uuid": server["uuid"]}]
    call(double, "DELETE", f"/server/{server['uuid']}/networking/interface/2")
    call(double, "DELETE", f"/network/{network.uuid}")


def test_firewall_rules_and_tags_are_kept_in_order(double: UpCloudDouble, manager: Any) -> None:
    id = call(double, "POST", "/server", body())["server"]["uuid"]
    rules = [{"action": "accept", "direction": "in", "protocol": "tcp", "comment": str(at)} for at in range(3)]
    path = f"/server/{id}/firewall_rule"
    call(double, "PUT", path, {"firewall_rules": {"firewall_rule": rules}})
    call(double, "DELETE", f"{path}/2")
    kept = call(double, "GET", path)["firewall_rules"]["firewall_rule"]
    assert [(each["comment"], each["position"]) for each in kept] == [("0", "1"), ("2", "2")]
    tag = manager.create_tag("blue")
    call(double, "POST", f"/server/{id}/tag/blue")
    assert [each.uuid for each in manager.get_servers(tags_has_one=[tag])] == [id]
    call(double, "POST", f"/server/{id}/untag/blue")
    call(double, "DELETE", "/tag/blue")
    assert call(double, "GET", "/tag")["tags"]["tag"] == []


def test_a_plan_changes_while_stopped_only(double: UpCloudDouble) -> None:
    id = call(double, "POST", "/server", body())["server"]["uuid"]
    started(double, id)
    change = {"server": {"plan": "4xCPU-8GB"}}
    assert refused(double, "PUT", f"/server/{id}", change)[1]["error"]["error_code"] == "SERVER_STATE_ILLEGAL"
    call(double, "POST", f"/server/{id}/stop", {"stop_server": {"stop_type": "hard"}})
    eventually(lambda: call(double, "GET", f"/server/{id}")["server"]["state"] == "stopped")
    assert call(double, "PUT", f"/server/{id}", change)["server"]["core_number"] == "4"
    custom = {"server": {"core_number": "3", "memory_amount": "6144", "plan": "custom"}}
    assert call(double, "PUT", f"/server/{id}", custom)["server"]["memory_amount"] == "6144"
    call(double, "POST", f"/server/{id}/start", {"server": {}})
    started(double, id)


def test_a_double_goes_on_from_its_ledger(double: UpCloudDouble, tmp_path: Any) -> None:
    with UpCloudDouble(tmp_path / "own", pace_s=0.01) as first:
        id = call(first, "POST", "/server", body(**labels(role="web")))["server"]["uuid"]
        network = call(first, "POST", "/network", {"network": {"name": "n", "zone": "fi-hel1"}
            | {"ip_networks": {"ip_network": [{"address": "10.5.0.0/24"}]}}})["network"]  # fmt: skip
    with UpCloudDouble(tmp_path / "own", pace_s=0.01) as second:
        started(second, id)
        assert call(second, "GET", "/server?label=role%3Dweb")["servers"]["server"][0]["uuid"] == id
        assert call(second, "GET", f"/network/{network['uuid']}")["network"] == network

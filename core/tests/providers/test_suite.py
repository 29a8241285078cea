"""The conformance suite itself: each planted fault fails at the test that is named for it, and at none without it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from provisioning_core.provider import Provider
from provisioning_core.testing.create_once import make_provider
from provisioning_core.testing.provider_suite import HOSTILE_NAMES, ProviderSuite

PLANTED = Path(__file__).with_name("planted.py")
LEDGER = "provisioning_core.testing.ledger_provider:LedgerProvider"
QUICK = {
    "CreatesTwice": "test_the_same_wish_again_finds_the_first_ones_resource",
    "CreatesTwiceForAnotherWish": "test_another_wish_for_the_same_key_finds_the_first_ones_resource",
    "ForgetsTheKey": "test_what_was_created_can_be_got_found_and_listed",
    "ForgetsTheIntent": "test_what_was_created_can_be_got_found_and_listed",
    "AnnouncesNothing": "test_the_id_is_announced_once_and_before_create_returns",
    "AnnouncesTwice": "test_the_id_is_announced_once_and_before_create_returns",
    "AnnouncesWhatIsNotThere": "test_what_is_announced_exists",
    "SaysNotHowToConnect": "test_a_server_says_how_to_connect",
    "DeleteLies": "test_deleting_twice_deletes_once_and_the_next_create_makes_a_new_one",
    "DeletesOfEveryKind": "test_a_resource_of_one_kind_is_none_of_the_other",
    "DeletedStaysFound": "test_deleting_twice_deletes_once_and_the_next_create_makes_a_new_one",
    "ListsUnsorted": "test_lists_are_sorted_by_key_and_can_be_limited_to_an_infra",
    "ListsOtherInfras": "test_lists_are_sorted_by_key_and_can_be_limited_to_an_infra",
    "RetriesBadNames": "test_a_hostile_name_is_refused_or_kept_exactly",
    "CutsNames": "test_a_hostile_name_is_refused_or_kept_exactly",
    "FoldsKeys": "test_a_hostile_key_is_refused_or_kept_exactly",
    "DeletesWhatIsNotThere": "test_what_is_not_there_is_neither_got_nor_found_nor_deleted",
    "NeverNormal": "test_normalizing_is_pure_idempotent_and_gives_plain_data",
    "ChangesTheSpec": "test_normalizing_is_pure_idempotent_and_gives_plain_data",
    "AcceptsEverything": "test_a_bad_spec_is_refused_for_good_and_named_and_makes_nothing",
    "RefusesInRiddles": "test_a_bad_spec_is_refused_for_good_and_named_and_makes_nothing",
    "PromisesWhatItRefuses": "test_what_it_would_refuse_is_known_before_a_create",
    "DropsKeys": "test_ssh_keys_let_in_who_has_them",
    "DropsUserData": "test_user_data_is_run",
    "DropsTheFirewall": "test_firewall_rules_are_there",
    "DropsStorages": "test_storages_are_there_and_go_with_their_server",
    "ObservesSomethingElse": "test_what_is_observed_of_a_new_resource_is_what_was_wished",
    "DropsLabels": "test_labels_are_seen_at_the_resource",
    "UpdateReplaces": "test_an_update_changes_each_field_in_what_is_there_and_nothing_twice",
    "UpdateDoesNothing": "test_an_update_changes_each_field_in_what_is_there_and_nothing_twice",
    "UpdateChangesWhatItMustNot": "test_an_update_refuses_what_needs_replacement_and_changes_nothing",
    "UpdateCreates": "test_an_update_of_what_is_not_there_is_not_found",
    "RebootStops": "test_power_brings_it_into_the_state_from_whichever",
    "StopsOnce": "test_power_brings_it_into_the_state_from_whichever",
    "LeavesItStopped": "test_a_stopped_server_that_create_finds_is_started_again",
    "AdoptsFromOthers": "test_what_is_somebody_elses_is_not_adopted",
    "AdoptsWithoutIntent": "test_adopting_makes_it_ours_and_twice_is_once",
    "OffersTwice": "test_zones_are_named_once_each_and_accepted",
    "OffersWhatItRefuses": "test_plans_are_named_once_each_and_accepted",
    "HidesThePrice": "test_plans_say_what_they_cost",
    "OffersNoImages": "test_images_are_named_once_each_and_accepted",
}
WITH_PROCESSES = {
    "LooksBeforeItLocks": "test_simultaneous_creates_of_one_key_make_one",
    "SharesAnAddress": "test_simultaneous_creates_of_different_keys_make_all",
    "LeavesALock": "test_a_create_that_was_killed_and_is_repeated_makes_one",
    "AnnouncesAndMakesAnother": "test_a_create_that_was_killed_and_is_repeated_makes_one",
    "UpdateLeavesItStopped": "test_an_update_that_was_killed_and_is_repeated_is_whole",
}
TESTS = [name for name in dir(ProviderSuite) if name.startswith("test_")]


class _Suite(ProviderSuite):
    """Without Test in its name: pytest collects it only where it is meant."""


class TestMinimal(ProviderSuite):
    """A provider that has the five verbs passes the small part."""

    factory = f"{PLANTED}:Minimal"


def run(test: str, factory: str, workspace: Path) -> None:
    """The test on its own, with each hostile name where it takes one. What it raises is its verdict."""
    suite = type("Tried", (_Suite,), {"factory": factory})()
    workspace.mkdir(exist_ok=True)
    function = getattr(suite, test)
    wanted = inspect.signature(function).parameters
    for number, name in enumerate(HOSTILE_NAMES if "hostile_name" in wanted else ("",)):
        own = workspace / str(number)
        own.mkdir()
        given: dict[str, Any] = {"provider": make_provider(factory, own), "workspace": own, "hostile_name": name}
        function(**{key: value for key, value in given.items() if key in wanted})


def verdict(test: str, factory: str, workspace: Path) -> str:
    try:
        run(test, factory, workspace)
    except pytest.skip.Exception:
        return "skipped"
    except BaseException as failure:
        if isinstance(failure, KeyboardInterrupt):
            raise
        return f"failed: {failure!r}"
    return "passed"


@pytest.mark.parametrize(("planted", "test"), QUICK.items(), ids=QUICK)
def test_a_planted_fault_fails_at_the_test_named_for_it(planted: str, test: str, tmp_path: Path) -> None:
    assert verdict(test, LEDGER, tmp_path / "sound") == "passed"
    assert verdict(test, f"{PLANTED}:{planted}", tmp_path / "planted").startswith("failed")


@pytest.mark.slow
@pytest.mark.parametrize(("planted", "test"), WITH_PROCESSES.items(), ids=WITH_PROCESSES)
def test_a_fault_that_only_kills_and_crowds_show_is_found(planted: str, test: str, tmp_path: Path) -> None:
    assert verdict(test, f"{PLANTED}:{planted}", tmp_path / "planted").startswith("failed")


def test_every_test_of_the_suite_has_a_fault_that_it_finds() -> None:
    assert set(TESTS) == {*QUICK.values(), *WITH_PROCESSES.values()}


def test_what_is_skipped_says_which_flag_is_missing(tmp_path: Path) -> None:
    minimal: Provider = make_provider(f"{PLANTED}:Minimal", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="flag zones: not among the provider's capabilities"):
        _Suite().needs(minimal, "zones")

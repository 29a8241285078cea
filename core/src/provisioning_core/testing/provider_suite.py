"""What every provider has to do, as tests: for authors of plugins.

    from provisioning_core.testing.provider_suite import ProviderSuite

    class TestMyCloud(ProviderSuite):
        factory = "my_package.provider:MyCloud"
        server_spec = {"plan": "small"}

The small part, five verbs and kills, is for every provider. What its `capabilities` say beyond them is tested too;
what they do not say is skipped, and the reason of the skip names the flag. Needs pytest; `-m "not slow"` leaves out the
tests that start and kill processes. In pyproject.toml, so that pytest knows the word:

    [tool.pytest.ini_options]
    markers = ["slow: starts and kills processes"]

What can be set on the class:

    factory        `package.module:callable`, `path/to/module.py:callable`, or `executable:PATH` for a provider of
                   contract/provider.json. It is called with a workspace, here and in other processes; the state behind
                   it must be shared by all that are given the same workspace
    settings       given to it as its second argument, where not empty; plain data
    server_spec, network_spec, storage_spec      what a smallest one of each needs
    kinds          those that are tested (those of the capabilities)
    updates        {kind: {field: another value}} for fields that can be changed; for labels, plan, zone, image,
                   disk_gb, size_gb, firewall, storages a value is found without
    replacements   the same for fields that need replacement
    bad_specs      {kind: [fields that must be refused]}, beyond an unknown field, plan and zone
    hostile_names, kills, simultaneous           how much of it: where a create takes seconds, less is enough
    seed           of the moments of the kills

Hooks: `clean(workspace)` after each test; `make_unmanaged(provider, kind)` for the flag adopt; for the flags ssh_keys,
user_data, firewall and storages `told(provider, resource, field)`, what the cloud knows of it, where its servers are on
paper, and `run_on(resource, command, key)`, where one gets in by another way than the resource's `ssh`.
"""

from __future__ import annotations

import pytest

# Before they are imported, so that a failed assertion says what it has compared.
for _part in ("ground", "verbs", "changes", "parts", "catalogue", "processes"):
    pytest.register_assert_rewrite(f"{__package__}.suite_{_part}")

from .suite_catalogue import CatalogueTests  # noqa: E402
from .suite_changes import ChangeTests, TermTests  # noqa: E402
from .suite_ground import HOSTILE_NAMES as HOSTILE_NAMES  # noqa: E402
from .suite_parts import PartTests  # noqa: E402
from .suite_processes import ProcessTests  # noqa: E402
from .suite_verbs import VerbTests  # noqa: E402


class ProviderSuite(VerbTests, TermTests, ChangeTests, PartTests, CatalogueTests, ProcessTests):
    """All of it. The parts are classes of their own in the modules `suite_…` beside this one."""

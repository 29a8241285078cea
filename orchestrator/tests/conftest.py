"""Failed assertions of our own test kit say what they compared, as those of tests do."""

import pytest

for module in ("playbook", "rows", "dispatch_suite", "simulation"):
    pytest.register_assert_rewrite(f"provisioning_orchestrator.testing.{module}")

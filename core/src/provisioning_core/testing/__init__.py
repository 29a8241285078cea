"""For authors of plugins: conformance suites and doubles. Needs pytest, which the wheel does not bring."""

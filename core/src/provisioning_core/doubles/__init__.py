"""Doubles of clouds: they speak the real wire format on loopback, remember all they ever made, and fail on request.

`ledger` what was ever made · `faults` what goes wrong · `mishap` how it does · `http` the server · `admin` a door
to them while it runs.
"""

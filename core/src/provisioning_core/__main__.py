"""`python -m provisioning_core` is `provisioning`."""

from .cli import main

main()

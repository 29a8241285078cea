"""An infrastructure: `model` is what a definition means, `reading` how `infra/<name>.yaml` becomes that."""

from .model import (
    Check,
    Cluster,
    FirewallRule,
    Infra,
    Network,
    Policy,
    Server,
    Storage,
    Taskserv,
    no_server,
    several,
)
from .reading import load_infra

__all__ = [
    "Check",
    "Cluster",
    "FirewallRule",
    "Infra",
    "Network",
    "Policy",
    "Server",
    "Storage",
    "Taskserv",
    "load_infra",
    "no_server",
    "several",
]

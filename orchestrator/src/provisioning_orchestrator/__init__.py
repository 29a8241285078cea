"""A daemon that runs DAGs of subprocess tasks and survives being killed at any instant."""

__version__ = "0.1.0"

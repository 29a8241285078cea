"""Programs that people already have, run by operations: any command, Ansible, OpenTofu."""

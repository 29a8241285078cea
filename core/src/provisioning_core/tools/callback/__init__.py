"""What runs inside of `ansible-playbook`: a directory of its own, for Ansible tries to load all that lies beside it."""

"""Plans: `planning` compares, `model` is what comes of it, `creating`, `deleting` and `applying` are the tasks."""

from .comparing import differences, observation, wish_in_terms
from .creating import cluster_tasks, create_tasks, infra_tasks
from .deleting import chosen_servers, delete_targets, delete_tasks, plan_delete
from .model import Action, Change, FieldChange, Gate, Plan
from .planning import plan_create, plan_infra
from .requests import request_create, request_delete

__all__ = [
    "Action",
    "Change",
    "FieldChange",
    "Gate",
    "Plan",
    "chosen_servers",
    "cluster_tasks",
    "create_tasks",
    "delete_targets",
    "delete_tasks",
    "differences",
    "infra_tasks",
    "observation",
    "plan_create",
    "plan_delete",
    "plan_infra",
    "request_create",
    "request_delete",
    "wish_in_terms",
]

-- Statements of the read-only connections. Lists of places and ids come as one JSON array.

-- name: number_of
-- The number of a workflow.
SELECT number FROM workflows WHERE id = ?

-- name: workflow
-- One workflow.
SELECT number, id, name, intent, status, created_at, started_at, ended_at, cancel_requested, tasks_total, sequence,
       parent_workflow, parent_task, parent_seq, quarantined
FROM workflows WHERE id = ?

-- name: workflows
-- A page of all workflows, newest first.
SELECT number, id, name, intent, status, created_at, started_at, ended_at, cancel_requested, tasks_total, sequence,
       parent_workflow, parent_task, parent_seq, quarantined
FROM workflows WHERE number < ? ORDER BY number DESC LIMIT ?

-- name: workflows_of_status
-- A page of the workflows of one status, newest first.
SELECT number, id, name, intent, status, created_at, started_at, ended_at, cancel_requested, tasks_total, sequence,
       parent_workflow, parent_task, parent_seq, quarantined
FROM workflows WHERE number < ? AND status = ? ORDER BY number DESC LIMIT ?

-- name: workflows_of_parent
-- A page of the workflows that the tasks of one workflow submitted, newest first; of any status where that is NULL.
SELECT number, id, name, intent, status, created_at, started_at, ended_at, cancel_requested, tasks_total, sequence,
       parent_workflow, parent_task, parent_seq, quarantined
FROM workflows WHERE parent_workflow = ?1 AND number < ?2 AND (?3 IS NULL OR status = ?3) ORDER BY number DESC LIMIT ?4

-- name: submitted
-- What an idempotency key and a body made.
SELECT workflow FROM idempotency WHERE token = ? AND route = ? AND key = ? AND digest = ?

-- name: unfinished
-- Workflows that have not ended and are not set aside, oldest first.
SELECT id FROM workflows
WHERE quarantined IS NULL AND status NOT IN ('succeeded', 'failed', 'cancelled') ORDER BY number

-- name: counts
-- Tasks per status of some workflows.
SELECT workflow, status, tasks FROM task_counts WHERE workflow IN (SELECT value FROM json_each(?)) AND tasks <> 0

-- name: load_tasks
-- All tasks of a workflow, in order.
SELECT t.place, t.id, t.operation, t.params, t.needs, t.parent, t.depth, t.key, t.repeatable, t.timeout_s, t.retry,
       t.first_status, s.status, s.attempt, s.counted, s.lost, s.never, s.due_at, s.expanded, s.flagged, s.error
FROM tasks AS t LEFT JOIN task_states AS s ON s.place = t.place
WHERE t.place BETWEEN ? AND ? ORDER BY t.place

-- name: load_attempts
-- The last attempt of each running task of a workflow.
SELECT a.place, a.number, a.status, a.started_at, a.ended_at, a.exit_code, a.signal, a.error, a.note, a.reports_offset
FROM task_states AS s JOIN attempts AS a ON a.place = s.place AND a.number = s.attempt
WHERE s.status = 'running' AND s.place BETWEEN ? AND ? ORDER BY a.place

-- name: task_place
-- Where a task is.
SELECT place FROM tasks WHERE workflow = ? AND id = ?

-- name: task_places
-- A page of places of one workflow, with the bytes of params and result.
SELECT t.place, length(t.params) + coalesce(length(r.value), 0)
FROM tasks AS t LEFT JOIN results AS r ON r.place = t.place
WHERE t.place > ? AND t.place <= ? ORDER BY t.place LIMIT ?

-- name: task_places_of_status
-- A page of places of the tasks of one status in one workflow, with the bytes of params and result.
SELECT s.place, length(t.params) + coalesce(length(r.value), 0)
FROM task_states AS s JOIN tasks AS t ON t.place = s.place LEFT JOIN results AS r ON r.place = s.place
WHERE s.status = ?4 AND s.place > ?1 AND s.place <= ?2 ORDER BY s.place LIMIT ?3

-- name: older_place
-- The last place before this one: tells the next older workflow that has tasks.
SELECT max(place) FROM tasks WHERE place < ?1

-- name: older_place_of_status
-- The last place before this one with a task of that status.
SELECT max(place) FROM task_states WHERE place < ?1 AND status = ?2

-- name: visible
-- The id of the workflow of that number; none while it is still being written.
SELECT id FROM workflows WHERE number = ?

-- name: tasks
-- Tasks by place: the columns of load_tasks.
SELECT t.place, t.id, t.operation, t.params, t.needs, t.parent, t.depth, t.key, t.repeatable, t.timeout_s, t.retry,
       t.first_status, s.status, s.attempt, s.counted, s.lost, s.never, s.due_at, s.expanded, s.flagged, s.error
FROM json_each(?) AS wanted JOIN tasks AS t ON t.place = wanted.value LEFT JOIN task_states AS s ON s.place = t.place

-- name: attempts
-- All attempts of some tasks.
SELECT place, number, status, started_at, ended_at, exit_code, signal, error, note, reports_offset
FROM attempts WHERE place IN (SELECT value FROM json_each(?)) ORDER BY place, number

-- name: results
-- The results of some tasks.
SELECT place, value FROM results WHERE place IN (SELECT value FROM json_each(?))

-- name: ids
-- The flat ids of some tasks.
SELECT place, id FROM tasks WHERE place IN (SELECT value FROM json_each(?))

-- name: resources
-- What some tasks of one workflow have created, in order.
SELECT task, data FROM events
WHERE type = 'resource.created' AND task IN (SELECT value FROM json_each(?1)) AND place BETWEEN ?2 AND ?3
ORDER BY place

-- name: events
-- A piece of the feed.
SELECT place, at, type, task, data FROM events WHERE place > ? AND place <= ? ORDER BY place LIMIT ?

-- name: task_input
-- What an attempt of a task is told, without the results.
SELECT id, operation, key, params, needs, parent FROM tasks WHERE place = ?

-- Statements of the writer thread. A group of question marks in parentheses after VALUES may be repeated for many rows:
-- one step of SQLite for the whole group, so that the interpreter's lock is taken once and not once per row.

-- name: put_workflows
-- A new workflow, or the changing part of one that is there.
INSERT INTO workflows (number, id, name, intent, status, created_at, started_at, ended_at, cancel_requested,
                       tasks_total, sequence, parent_workflow, parent_task, parent_seq)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (number) DO UPDATE SET
    status = excluded.status, started_at = excluded.started_at, ended_at = excluded.ended_at,
    cancel_requested = excluded.cancel_requested, tasks_total = excluded.tasks_total, sequence = excluded.sequence

-- name: add_tasks
-- What never changes of new tasks.
INSERT INTO tasks (place, workflow, id, operation, params, needs, parent, depth, key, repeatable, timeout_s, retry,
                   first_status)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: add_states
-- The first state of new tasks.
INSERT INTO task_states (place, status) VALUES (?, ?)

-- name: add_counts
-- How many new tasks there are of each status.
INSERT INTO task_counts (workflow, status, tasks) VALUES (?, ?, ?)
ON CONFLICT (workflow, status) DO UPDATE SET tasks = tasks + excluded.tasks

-- name: put_states
-- The changed states of tasks that are there (the writer has checked that they are).
INSERT INTO task_states (place, status, attempt, counted, lost, never, due_at, expanded, flagged, error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (place) DO UPDATE SET
    status = excluded.status, attempt = excluded.attempt, counted = excluded.counted, lost = excluded.lost,
    never = excluded.never, due_at = excluded.due_at, expanded = excluded.expanded, flagged = excluded.flagged,
    error = excluded.error

-- name: put_attempts
-- Attempts, new or changed.
INSERT OR REPLACE INTO attempts (place, number, status, started_at, ended_at, exit_code, signal, error, note,
                                 reports_offset)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: put_results
-- Results of tasks; a later one replaces an earlier one (a task resolved by hand).
INSERT OR REPLACE INTO results (place, value) VALUES (?, ?)

-- name: add_events
-- Lines of the feed.
INSERT INTO events (place, at, type, task, data) VALUES (?, ?, ?, ?, ?)

-- name: add_idempotency
-- Which workflow an idempotency key made.
INSERT INTO idempotency (token, route, key, digest, workflow) VALUES (?, ?, ?, ?, ?)

-- name: find_idempotency
-- What an idempotency key made.
SELECT digest, workflow FROM idempotency WHERE token = ? AND route = ? AND key = ?

-- name: find_workflow
-- The columns of put_workflows, and the highest place of its tasks.
SELECT number, id, name, intent, status, created_at, started_at, ended_at, cancel_requested, tasks_total, sequence,
       parent_workflow, parent_task, parent_seq,
       (SELECT max(place) FROM tasks WHERE place BETWEEN number << 32 AND number << 32 | 4294967295)
FROM workflows WHERE id = ?

-- name: last_number
-- The highest workflow number in use.
SELECT max(coalesce((SELECT max(number) FROM workflows), 0), coalesce((SELECT max(number) FROM staged), 0))

-- name: stage
-- From now on tasks of this number are being written, invisibly.
INSERT INTO staged (number) VALUES (?)

-- name: unstage
-- The workflow of this number is complete, or purged.
DELETE FROM staged WHERE number = ?

-- name: staged
-- What an earlier daemon left half-written.
SELECT number FROM staged ORDER BY number

-- name: purge_tasks
-- Remove a slice of half-written tasks.
DELETE FROM tasks WHERE place IN (SELECT place FROM tasks WHERE place BETWEEN ? AND ? LIMIT ?)

-- name: purge_states
-- Remove a slice of half-written states.
DELETE FROM task_states WHERE place IN (SELECT place FROM task_states WHERE place BETWEEN ? AND ? LIMIT ?)

-- name: quarantine
-- Set a workflow aside, with the reason.
UPDATE workflows SET quarantined = ? WHERE id = ?

-- name: next_fence
-- Count one reign more.
UPDATE meta SET value = value + 1 WHERE name = 'fence'

-- name: fence
-- The number of this reign.
SELECT value FROM meta WHERE name = 'fence'

-- name: was_clean
-- Whether the last daemon stopped in order.
SELECT value FROM meta WHERE name = 'clean'

-- name: set_clean
-- Remember whether the file is at rest (1) or in use (0).
UPDATE meta SET value = ? WHERE name = 'clean'

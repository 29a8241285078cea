-- The first schema. `place` is <workflow number> * 2^32 + <seq of the task, or sequence of the event>: one integer is
-- the fastest key there is, keeps the rows of a workflow side by side, and is easy to read: place >> 32, place & 0xffffffff.
-- Times are microseconds UTC. Foreign keys are not declared: one thread of one program writes, and each check costs two
-- look-ups a row.

-- Numbers that belong to the whole store. fence: the last daemon's. clean: 1 after an orderly stop, 0 while open.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('fence', 0), ('clean', 1);

-- A workflow is visible as soon as, and only when, its row is here. quarantined: why it was set aside.
CREATE TABLE workflows (
    number           INTEGER PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,
    name             TEXT NOT NULL,
    intent           TEXT NOT NULL,
    status           TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    started_at       INTEGER,
    ended_at         INTEGER,
    cancel_requested INTEGER NOT NULL,
    tasks_total      INTEGER NOT NULL,
    sequence         INTEGER NOT NULL,
    quarantined      TEXT
);
CREATE INDEX workflows_by_status ON workflows (status);
CREATE INDEX workflows_unfinished ON workflows (number)
    WHERE quarantined IS NULL AND status NOT IN ('succeeded', 'failed', 'cancelled');

-- Numbers of workflows whose tasks are being written in slices; what is here at a start is left over from a crash.
CREATE TABLE staged (
    number INTEGER PRIMARY KEY
);

-- What never changes of a task. needs: seqs as a JSON array, NULL for none. retry: a JSON array.
CREATE TABLE tasks (
    place        INTEGER PRIMARY KEY,
    workflow     INTEGER NOT NULL,
    id           TEXT NOT NULL,
    operation    TEXT NOT NULL,
    params       BLOB NOT NULL,
    needs        TEXT,
    parent       INTEGER NOT NULL,
    depth        INTEGER NOT NULL,
    key          TEXT,
    repeatable   INTEGER NOT NULL,
    timeout_s    REAL NOT NULL,
    retry        TEXT NOT NULL,
    first_status TEXT NOT NULL
);
CREATE UNIQUE INDEX tasks_by_id ON tasks (workflow, id);

-- What changes of a task: apart, so that a transition rewrites a short row. error: a JSON object.
CREATE TABLE task_states (
    place   INTEGER PRIMARY KEY,
    status  TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    counted INTEGER NOT NULL DEFAULT 0,
    lost    INTEGER NOT NULL DEFAULT 0,
    never   INTEGER NOT NULL DEFAULT 0,
    due_at  INTEGER,
    expanded INTEGER NOT NULL DEFAULT 0,
    flagged INTEGER NOT NULL DEFAULT 0,
    error   TEXT
);
CREATE INDEX task_states_by_status ON task_states (status);

-- Tasks per workflow and status. Inserted with the workflow; moved by the trigger (0.5 us a transition, where counting
-- 100,000 tasks by the index takes 4 ms at each question).
CREATE TABLE task_counts (
    workflow INTEGER NOT NULL,
    status   TEXT NOT NULL,
    tasks    INTEGER NOT NULL,
    PRIMARY KEY (workflow, status)
) WITHOUT ROWID;
CREATE TRIGGER task_states_count AFTER UPDATE OF status ON task_states WHEN OLD.status <> NEW.status
BEGIN
    UPDATE task_counts SET tasks = tasks - 1 WHERE workflow = OLD.place >> 32 AND status = OLD.status;
    INSERT INTO task_counts (workflow, status, tasks) VALUES (NEW.place >> 32, NEW.status, 1)
        ON CONFLICT (workflow, status) DO UPDATE SET tasks = tasks + 1;
END;

-- error: a JSON object.
CREATE TABLE attempts (
    place          INTEGER NOT NULL,
    number         INTEGER NOT NULL,
    status         TEXT NOT NULL,
    started_at     INTEGER NOT NULL,
    ended_at       INTEGER,
    exit_code      INTEGER,
    signal         INTEGER,
    error          TEXT,
    note           TEXT,
    reports_offset INTEGER NOT NULL,
    PRIMARY KEY (place, number)
) WITHOUT ROWID;

-- The result of a task as JSON.
CREATE TABLE results (
    place INTEGER PRIMARY KEY,
    value BLOB NOT NULL
);

-- The feed of a workflow. task: a flat id. data: a JSON object, NULL for an empty one.
CREATE TABLE events (
    place INTEGER PRIMARY KEY,
    at    INTEGER NOT NULL,
    type  TEXT NOT NULL,
    task  TEXT,
    data  TEXT
);
CREATE INDEX events_resources ON events (task) WHERE type = 'resource.created';

-- Which submission used an idempotency key: kept as long as its workflow.
CREATE TABLE idempotency (
    token    TEXT NOT NULL,
    route    TEXT NOT NULL,
    key      TEXT NOT NULL,
    digest   TEXT NOT NULL,
    workflow TEXT NOT NULL,
    PRIMARY KEY (token, route, key)
) WITHOUT ROWID;

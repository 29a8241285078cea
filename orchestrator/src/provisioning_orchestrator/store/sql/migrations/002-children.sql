-- A workflow may have been submitted by an attempt of another one: its parent. task, seq: which task of that.
ALTER TABLE workflows ADD COLUMN parent_workflow TEXT;
ALTER TABLE workflows ADD COLUMN parent_task TEXT;
ALTER TABLE workflows ADD COLUMN parent_seq INTEGER;
CREATE INDEX workflows_by_parent ON workflows (parent_workflow, number) WHERE parent_workflow IS NOT NULL;

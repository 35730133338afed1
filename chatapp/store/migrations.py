"""The schema, as steps that are only ever added to.

A step that has been released is never edited: people's files have run it. Surprising: the search
tables are contentless (no second copy of the text), so a row is taken out of them by giving
FTS5 the very words that were put in; see `search.py`. Their tokenizer is `ascii` because the
text arrives already cut into words by `words.py`.
"""

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("chatapp")

APPLICATION_ID = 0x63484154
"""`cHAT` in the file's header, so that tools such as file(1) can tell what it is."""


@MIGRATIONS(name="m001_initial")
def create_schema(db: Database) -> None:
    """Conversations, the message tree, generations, and search over titles and messages."""
    for statement in _INITIAL.split(";\n"):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@MIGRATIONS(name="m002_runs")
def add_runs(db: Database) -> None:
    """A name for every conversation and message; several generations for one answer."""
    for table in ("conversations", "messages"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN uid TEXT NOT NULL DEFAULT ''")
        db.execute(f"UPDATE {table} SET uid = lower(hex(randomblob(16)))")  # noqa: S608
        db.execute(f"CREATE UNIQUE INDEX {table}_uid ON {table} (uid)")
    for statement in _RUNS.split(";\n"):
        db.execute(statement)


# In `messages` the small columns stand first: SQLite follows a row's overflow pages only as far
# as it must, so walking the tree never reads the text. AUTOINCREMENT: an id is never used twice.
_INITIAL = """
CREATE TABLE conversations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  title TEXT NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL,
  active_leaf_id INTEGER,
  deleted_at REAL,
  system TEXT NOT NULL
);
CREATE INDEX conversations_recent ON conversations (updated_at DESC, id DESC)
  WHERE deleted_at IS NULL;
CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  conversation_id INTEGER NOT NULL REFERENCES conversations (id),
  parent_id INTEGER,
  role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
  status TEXT NOT NULL
    CHECK (status IN ('streaming', 'complete', 'stopped', 'interrupted', 'failed')),
  created_at REAL NOT NULL,
  owner TEXT NOT NULL DEFAULT '',
  heartbeat REAL NOT NULL DEFAULT 0,
  tokens BLOB NOT NULL DEFAULT x'',
  reasoning TEXT NOT NULL DEFAULT '',
  content TEXT NOT NULL,
  FOREIGN KEY (conversation_id, parent_id) REFERENCES messages (conversation_id, id)
);
CREATE UNIQUE INDEX messages_by_conversation ON messages (conversation_id, id);
CREATE INDEX messages_tree ON messages (conversation_id, parent_id);
CREATE INDEX messages_streaming ON messages (id) WHERE status = 'streaming';
CREATE TABLE generations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  message_id INTEGER NOT NULL UNIQUE REFERENCES messages (id),
  model_path TEXT NOT NULL,
  model_name TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  template_hash TEXT NOT NULL,
  params_json TEXT NOT NULL,
  seed INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL DEFAULT 0,
  reused_tokens INTEGER NOT NULL DEFAULT 0,
  completion_tokens INTEGER NOT NULL DEFAULT 0,
  load_s REAL NOT NULL DEFAULT 0,
  ttft_s REAL NOT NULL DEFAULT 0,
  prefill_tps REAL NOT NULL DEFAULT 0,
  decode_tps REAL NOT NULL DEFAULT 0,
  finish_reason TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT '',
  created_at REAL NOT NULL
);
CREATE VIRTUAL TABLE message_fts USING fts5 (
  text, content='', tokenize='ascii', prefix='2 3'
);
CREATE VIRTUAL TABLE title_fts USING fts5 (
  text, content='', tokenize='ascii', prefix='2 3'
);
"""

_RUNS = """
ALTER TABLE generations RENAME TO generations_1;
CREATE TABLE generations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  message_id INTEGER NOT NULL REFERENCES messages (id),
  model_path TEXT NOT NULL,
  model_name TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  template_hash TEXT NOT NULL,
  params_json TEXT NOT NULL,
  seed INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL DEFAULT 0,
  reused_tokens INTEGER NOT NULL DEFAULT 0,
  completion_tokens INTEGER NOT NULL DEFAULT 0,
  load_s REAL NOT NULL DEFAULT 0,
  ttft_s REAL NOT NULL DEFAULT 0,
  prefill_tps REAL NOT NULL DEFAULT 0,
  decode_tps REAL NOT NULL DEFAULT 0,
  finish_reason TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT '',
  created_at REAL NOT NULL,
  offset INTEGER NOT NULL DEFAULT 0
);
INSERT INTO generations SELECT *, 0 FROM generations_1;
DROP TABLE generations_1;
CREATE INDEX generations_by_message ON generations (message_id, id);
"""

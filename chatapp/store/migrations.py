"""The schema, as steps that are only ever added to.

A step that has been released is never edited: people's files have run it. Surprising: the search
tables are contentless (no second copy of the text), so a row is taken out of them by giving
FTS5 the very words that were put in; see `search.py`. Their tokenizer is `ascii` because the
text arrives already cut into words by `words.py`.
"""

from sqlite_utils import Database, Migrations

from chatapp.errors import StoreError
from chatapp.store.words import join_words

MIGRATIONS = Migrations("chatapp")

APPLICATION_ID = 0x63484154
"""`cHAT` in the file's header, so that tools such as file(1) can tell what it is."""


@MIGRATIONS(name="m001_initial")
def create_schema(db: Database) -> None:
    """Conversations, the message tree, generations, and search over titles and messages."""
    for statement in _INITIAL.split(";\n"):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@MIGRATIONS(name="m002_parts")
def divide_messages(db: Database) -> None:
    """Messages are parts, tools speak, an answer has many runs, everything has a name.

    Texts move by SQL alone; only what models thought is cut into words here, for its index.
    """
    before = db.execute(_TEXTS_1).fetchone()
    _execute(db, _PARTS)
    after = db.execute(_TEXTS_2).fetchone()
    if before != after:  # nothing known leads here, and the old tables are gone after this
        raise StoreError(f"The history did not come over whole: {before} became {after}.")
    _execute(db, _AFTER_PARTS)
    thoughts = db.execute(
        "SELECT p.message_id, p.text FROM parts p JOIN messages m ON m.id = p.message_id"
        " WHERE p.kind = 'reasoning' AND m.status != 'streaming'"
    )
    for message_id, text in thoughts.fetchall():
        db.execute(
            "INSERT INTO reasoning_fts (rowid, text) VALUES (?, ?)", (message_id, join_words(text))
        )


@MIGRATIONS(name="m003_places")
def give_places(db: Database) -> None:
    """Conversations have settings, pins, an archive and tags; drafts are kept; branches can go.

    A branch that is deleted moves into a conversation of its own in the bin, which a row of `cuts`
    describes: whatever reads a conversation then needs no thought of what was deleted in it.
    """
    _execute(db, _PLACES)


@MIGRATIONS(name="m004_evaluations")
def keep_evaluations(db: Database) -> None:
    """What models were measured at is kept, with the hash of each model and of each text."""
    _execute(db, _EVALUATIONS)


def _execute(db: Database, script: str) -> None:
    # Not executescript: it would commit the transaction that all of this is in.
    for statement in script.split(";\n\n"):
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

# Messages, their texts and the bytes in them; length() of a text would end at a NUL.
_TEXTS_1 = """
SELECT count(*), total((reasoning != '') + (content != '')),
  total(length(CAST(reasoning AS BLOB)) + length(CAST(content AS BLOB))) FROM messages
"""
_TEXTS_2 = """
SELECT (SELECT count(*) FROM messages), count(*), total(length(CAST(text AS BLOB))) FROM parts
"""

# The tokens stand last in `messages` and the text in `parts`, for the reason above. A part with
# `depth` 1 is inside the tool's result before it. `blobs` holds bytes once, however many parts
# refer to them.
_PARTS = """
ALTER TABLE conversations RENAME TO conversations_1;

ALTER TABLE messages RENAME TO messages_1;

ALTER TABLE generations RENAME TO generations_1;

CREATE TABLE conversations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE DEFAULT (lower(hex(randomblob(16)))),
  title TEXT NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL,
  active_leaf_id INTEGER,
  deleted_at REAL,
  system TEXT NOT NULL
);

INSERT INTO conversations
  (id, title, created_at, updated_at, active_leaf_id, deleted_at, system)
SELECT id, title, created_at, updated_at, active_leaf_id, deleted_at, system
FROM conversations_1;

CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE DEFAULT (lower(hex(randomblob(16)))),
  conversation_id INTEGER NOT NULL REFERENCES conversations (id),
  parent_id INTEGER,
  role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant', 'tool')),
  status TEXT NOT NULL
    CHECK (status IN ('streaming', 'complete', 'stopped', 'interrupted', 'failed')),
  created_at REAL NOT NULL,
  owner TEXT NOT NULL DEFAULT '',
  heartbeat REAL NOT NULL DEFAULT 0,
  tokens BLOB NOT NULL DEFAULT x'',
  FOREIGN KEY (conversation_id, parent_id) REFERENCES messages (conversation_id, id)
);

INSERT INTO messages
  (id, conversation_id, parent_id, role, status, created_at, owner, heartbeat, tokens)
SELECT id, conversation_id, parent_id, role, status, created_at, owner, heartbeat, tokens
FROM messages_1;

CREATE TABLE blobs (
  sha256 TEXT PRIMARY KEY,
  bytes BLOB NOT NULL
);

CREATE TABLE parts (
  id INTEGER PRIMARY KEY,
  message_id INTEGER NOT NULL REFERENCES messages (id),
  position INTEGER NOT NULL,
  depth INTEGER NOT NULL DEFAULT 0,
  kind TEXT NOT NULL CHECK (
    kind IN ('text', 'reasoning', 'file', 'image', 'tool_call', 'tool_result')
  ),
  data TEXT NOT NULL DEFAULT '{}',
  blob TEXT REFERENCES blobs (sha256),
  text TEXT NOT NULL DEFAULT ''
);

INSERT INTO parts (message_id, position, kind, text)
SELECT id, 0, 'reasoning', reasoning FROM messages_1 WHERE reasoning != ''
UNION ALL
SELECT id, reasoning != '', 'text', content FROM messages_1 WHERE content != '';

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

INSERT INTO generations SELECT *, 0 FROM generations_1
"""

# AUTOINCREMENT counts on from where it was: an id is never used twice, not even after a purge.
_AFTER_PARTS = """
DELETE FROM sqlite_sequence WHERE name IN ('conversations', 'messages', 'generations');

UPDATE sqlite_sequence SET name = replace(name, '_1', '')
  WHERE name IN ('conversations_1', 'messages_1', 'generations_1');

DROP TABLE generations_1;

DROP TABLE messages_1;

DROP TABLE conversations_1;

CREATE INDEX conversations_recent ON conversations (updated_at DESC, id DESC)
  WHERE deleted_at IS NULL;

CREATE INDEX conversations_deleted ON conversations (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE UNIQUE INDEX messages_by_conversation ON messages (conversation_id, id);

CREATE INDEX messages_tree ON messages (conversation_id, parent_id);

CREATE INDEX messages_streaming ON messages (id) WHERE status = 'streaming';

CREATE INDEX generations_by_message ON generations (message_id);

CREATE UNIQUE INDEX parts_by_message ON parts (message_id, position);

CREATE INDEX parts_by_blob ON parts (blob) WHERE blob IS NOT NULL;

CREATE TRIGGER parts_removed AFTER DELETE ON parts WHEN old.blob IS NOT NULL
BEGIN
  DELETE FROM blobs WHERE sha256 = old.blob
    AND NOT EXISTS (SELECT 1 FROM parts WHERE blob = old.blob);
END;

CREATE TRIGGER parts_replaced AFTER UPDATE OF blob ON parts
WHEN old.blob IS NOT NULL AND old.blob IS NOT new.blob
BEGIN
  DELETE FROM blobs WHERE sha256 = old.blob
    AND NOT EXISTS (SELECT 1 FROM parts WHERE blob = old.blob);
END;

CREATE VIRTUAL TABLE reasoning_fts USING fts5 (
  text, content='', tokenize='ascii', prefix='2 3'
)
"""

# The order of the list is the order of `conversations_listed`: what is not archived, pins first.
_PLACES = """
ALTER TABLE conversations ADD COLUMN settings TEXT NOT NULL DEFAULT '';

ALTER TABLE conversations ADD COLUMN pinned_at REAL;

ALTER TABLE conversations ADD COLUMN archived_at REAL;

ALTER TABLE messages ADD COLUMN by_hand INTEGER NOT NULL DEFAULT 0;

ALTER TABLE messages ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;

CREATE INDEX conversations_listed ON conversations
  ((archived_at IS NOT NULL), (pinned_at IS NULL), updated_at DESC, id DESC)
  WHERE deleted_at IS NULL;

CREATE INDEX messages_prompts ON messages (id) WHERE role = 'user';

CREATE TABLE tags (
  conversation_id INTEGER NOT NULL REFERENCES conversations (id),
  tag TEXT NOT NULL,
  PRIMARY KEY (conversation_id, tag)
) WITHOUT ROWID;

CREATE INDEX tags_by_tag ON tags (tag, conversation_id);

CREATE TABLE drafts (
  conversation_id INTEGER NOT NULL,
  owner TEXT NOT NULL,
  text TEXT NOT NULL,
  cursor INTEGER NOT NULL,
  updated_at REAL NOT NULL,
  replaces INTEGER,
  waits TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (conversation_id, owner)
);

CREATE TABLE cuts (
  id INTEGER PRIMARY KEY REFERENCES conversations (id),
  conversation_id INTEGER NOT NULL REFERENCES conversations (id),
  message_id INTEGER NOT NULL,
  parent_id INTEGER,
  children TEXT NOT NULL,
  leaf_before INTEGER,
  leaf_after INTEGER
);

CREATE INDEX cuts_by_conversation ON cuts (conversation_id)
"""

_EVALUATIONS = """
CREATE TABLE evaluations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  created_at REAL NOT NULL,
  kind TEXT NOT NULL,
  model TEXT NOT NULL,
  model_hash TEXT NOT NULL,
  subject TEXT NOT NULL,
  subject_sha256 TEXT NOT NULL,
  seconds REAL NOT NULL,
  settings TEXT NOT NULL,
  results TEXT NOT NULL
)
"""

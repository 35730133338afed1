-- A history as the third schema left it. Never edited: people have files like this.
CREATE TABLE _sqlite_migrations (
  id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT
);
CREATE UNIQUE INDEX idx__sqlite_migrations_migration_set_name
  ON _sqlite_migrations (migration_set, name);
CREATE VIRTUAL TABLE message_fts USING fts5 (
  text, content='', tokenize='ascii', prefix='2 3'
);
CREATE VIRTUAL TABLE title_fts USING fts5 (
  text, content='', tokenize='ascii', prefix='2 3'
);
CREATE TABLE conversations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE DEFAULT (lower(hex(randomblob(16)))),
  title TEXT NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL,
  active_leaf_id INTEGER,
  deleted_at REAL,
  system TEXT NOT NULL
, settings TEXT NOT NULL DEFAULT '', pinned_at REAL, archived_at REAL);
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
  tokens BLOB NOT NULL DEFAULT x'', by_hand INTEGER NOT NULL DEFAULT 0, pinned INTEGER NOT NULL DEFAULT 0,
  FOREIGN KEY (conversation_id, parent_id) REFERENCES messages (conversation_id, id)
);
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
);
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
CREATE INDEX cuts_by_conversation ON cuts (conversation_id);
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
);
PRAGMA application_id = 1667776852;
INSERT INTO _sqlite_migrations VALUES (1, 'chatapp', 'm001_initial', '2026-11-24 00:00:00+00:00');
INSERT INTO _sqlite_migrations VALUES (2, 'chatapp', 'm002_parts', '2026-11-28 14:46:10.725194+00:00');
INSERT INTO _sqlite_migrations VALUES (3, 'chatapp', 'm003_places', '2026-11-28 20:49:18.646798+00:00');
INSERT INTO _sqlite_migrations VALUES (4, 'chatapp', 'm004_evaluations', '2026-11-29 08:20:00.000000+00:00');
INSERT INTO conversations VALUES (1, '18328959b0f38a622a1701c98b063ba3', 'Old chat', 1000.5, 2000.5, 3, NULL, 'be brief', '{"model": "a"}', 2100.5, NULL);
INSERT INTO tags VALUES (1, 'work');
INSERT INTO drafts VALUES (1, '1 1 gone', 'an und', 6, 2200.5, NULL, '');
INSERT INTO messages VALUES (1, 'f3e60cad5bba27940b74fe9019f21d63', 1, NULL, 'user', 'complete', 1001.5, '', 0.0, x'', 0, 0);
INSERT INTO messages VALUES (2, '8466ff82c5c049c859d3c5abe39ac73e', 1, 1, 'assistant', 'stopped', 1002.5, '', 1003.5, x'0100000002000000', 0, 0);
INSERT INTO messages VALUES (3, '588e188ca558f70723745949ecd63fd0', 1, 1, 'assistant', 'streaming', 1004.5, '1 1 gone', 1005.5, x'03000000', 0, 0);
INSERT INTO parts VALUES (1, 2, 0, 0, 'reasoning', '{}', NULL, 'hm');
INSERT INTO parts VALUES (2, 1, 0, 0, 'text', '{}', NULL, 'Wie heißt 北京?');
INSERT INTO parts VALUES (3, 2, 1, 0, 'text', '{}', NULL, 'Peking');
INSERT INTO parts VALUES (4, 3, 0, 0, 'text', '{}', NULL, 'Beij');
INSERT INTO generations VALUES (1, 2, '/m/a.gguf', 'a', 'ff', 'tt', '{}', 7, 10, 4, 2, 0.5, 0.25, 90.0, 30.0, 'cancelled', '', 1002.5, 0);
INSERT INTO generations VALUES (2, 3, '/m/a.gguf', 'a', 'ff', 'tt', '{}', -1, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, '', '', 1004.5, 0);
INSERT INTO title_fts (rowid, text) VALUES (1, 'old chat');
INSERT INTO message_fts (rowid, text) VALUES (1, 'wie heisst 北 京');
INSERT INTO message_fts (rowid, text) VALUES (2, 'peking');
INSERT INTO reasoning_fts (rowid, text) VALUES (2, 'hm');
INSERT INTO evaluations VALUES (1, 2300.5, 'perplexity', '/m/a.gguf', 'ff', 'a.txt', 'ee', 1.5, '{"n_ctx": 512}', '{"perplexity": 2.5}');

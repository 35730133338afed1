-- A history as the second schema left it. Never edited: people have files like this.
CREATE TABLE _sqlite_migrations (
  id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT
);
CREATE UNIQUE INDEX idx__sqlite_migrations_migration_set_name
  ON _sqlite_migrations (migration_set, name);
CREATE TABLE conversations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  title TEXT NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL,
  active_leaf_id INTEGER,
  deleted_at REAL,
  system TEXT NOT NULL
, uid TEXT NOT NULL DEFAULT '');
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
  content TEXT NOT NULL, uid TEXT NOT NULL DEFAULT '',
  FOREIGN KEY (conversation_id, parent_id) REFERENCES messages (conversation_id, id)
);
CREATE UNIQUE INDEX messages_by_conversation ON messages (conversation_id, id);
CREATE INDEX messages_tree ON messages (conversation_id, parent_id);
CREATE INDEX messages_streaming ON messages (id) WHERE status = 'streaming';
CREATE VIRTUAL TABLE message_fts USING fts5 (
  text, content='', tokenize='ascii', prefix='2 3'
);
CREATE VIRTUAL TABLE title_fts USING fts5 (
  text, content='', tokenize='ascii', prefix='2 3'
);
CREATE UNIQUE INDEX conversations_uid ON conversations (uid);
CREATE UNIQUE INDEX messages_uid ON messages (uid);
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
CREATE INDEX generations_by_message ON generations (message_id, id);
PRAGMA application_id = 1667776852;
INSERT INTO _sqlite_migrations VALUES (1, 'chatapp', 'm001_initial', '2026-11-24 00:00:00+00:00');
INSERT INTO _sqlite_migrations VALUES (2, 'chatapp', 'm002_runs', '2026-11-28 14:22:27.528372+00:00');
INSERT INTO conversations VALUES (1, 'Old chat', 1000.5, 2000.5, 3, NULL, 'be brief', '2aad816c746bc3ce0a49c7a252b5842d');
INSERT INTO messages VALUES (1, 1, NULL, 'user', 'complete', 1001.5, '', 0.0, x'', '', 'Wie heißt 北京?', 'b906fd5d3765ba93d5408e9b5ac0cb54');
INSERT INTO messages VALUES (2, 1, 1, 'assistant', 'stopped', 1002.5, '', 1003.5, x'0100000002000000', 'hm', 'Peking', '63b44f9412a95183fd0717dac4013566');
INSERT INTO messages VALUES (3, 1, 1, 'assistant', 'streaming', 1004.5, '1 1 gone', 1005.5, x'03000000', '', 'Beij', '4c80e66b8ce34a45428b90099883d3d1');
INSERT INTO generations VALUES (1, 2, '/m/a.gguf', 'a', 'ff', 'tt', '{}', 7, 10, 4, 2, 0.5, 0.25, 90.0, 30.0, 'cancelled', '', 1002.5, 0);
INSERT INTO generations VALUES (2, 3, '/m/a.gguf', 'a', 'ff', 'tt', '{}', -1, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, '', '', 1004.5, 0);
INSERT INTO title_fts (rowid, text) VALUES (1, 'old chat');
INSERT INTO message_fts (rowid, text) VALUES (1, 'wie heisst 北 京');
INSERT INTO message_fts (rowid, text) VALUES (2, 'peking');

CREATE TABLE messages (hash TEXT PRIMARY KEY, parent_hash TEXT, role TEXT, provider_metadata TEXT);
CREATE TABLE parts (id INTEGER PRIMARY KEY, message_hash TEXT, position INTEGER, type TEXT, tool_name TEXT, text TEXT, payload TEXT);
CREATE TABLE part_attachments (part_id INTEGER, attachment_id TEXT, "order" INTEGER);
CREATE TABLE part_fragments (part_id INTEGER, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE fragments (id INTEGER PRIMARY KEY, hash TEXT, content TEXT, datetime_utc TEXT, source TEXT);
CREATE TABLE threads (id TEXT PRIMARY KEY, name TEXT, tip_message_hash TEXT, forked_from TEXT, datetime_utc TEXT);
CREATE TABLE turns (id TEXT PRIMARY KEY, thread_id TEXT, parent_message_hash TEXT, tip_message_hash TEXT, model TEXT, resolved_model TEXT, datetime_utc TEXT);
INSERT INTO messages VALUES ('hs', NULL, 'system', NULL), ('h1', 'hs', 'user', NULL), ('h2', 'h1', 'assistant', NULL), ('h3', 'h2', 'tool', NULL),
  ('h4', 'h3', 'assistant', NULL), ('h5', 'h1', 'assistant', NULL);
INSERT INTO parts VALUES (1, 'hs', 0, 'text', NULL, 'Be exact.', NULL), (2, 'h1', 0, 'text', NULL, NULL, '{"text": [{"fragment": 1}, "Sum it"]}'),
  (3, 'h1', 1, 'attachment', NULL, NULL, '{"attachment_id": "p"}'), (4, 'h2', 1, 'tool_call', 'add', NULL, '{"tool_call_id": "k", "name": "add", "arguments": {"a": 1}}'),
  (5, 'h2', 0, 'reasoning', NULL, 'add them', NULL), (6, 'h3', 0, 'tool_result', 'add', '3', '{"tool_call_id": "k", "name": "add"}'),
  (7, 'h4', 0, 'text', NULL, 'Three.', NULL), (8, 'h5', 0, 'text', NULL, 'Four?', NULL);
INSERT INTO fragments VALUES (1, 'x', '1 2', '2026', 'numbers.txt');
INSERT INTO part_fragments VALUES (2, 1, 0);
INSERT INTO attachments VALUES ('p', 'image/png', NULL, NULL, x'89504E470D0A1A0A00');
INSERT INTO part_attachments VALUES (3, 'p', 0);
INSERT INTO threads VALUES ('t1', 'Sums', 'h4', NULL, '2026-08-16 08:41:00'), ('t2', 'Sums again', 'h5', 't1', '2026-08-17 08:41:00');
INSERT INTO turns VALUES ('r1', 't1', 'h1', 'h2', 'm', 'm-1', '2026-08-16T08:41:02.123456+00:00'), ('r2', 't1', 'h3', 'h4', 'm', NULL, '2026-08-16T08:41:05+00:00'),
  ('r3', 't2', 'h1', 'h5', 'm', NULL, '2026-08-17T08:41:02+00:00');

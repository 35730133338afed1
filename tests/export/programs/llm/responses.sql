CREATE TABLE _llm_migrations (name TEXT PRIMARY KEY, applied_at TEXT);
CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT);
CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT, options_json TEXT, response TEXT, response_json TEXT,
  conversation_id TEXT REFERENCES conversations(id), duration_ms INTEGER, datetime_utc TEXT, input_tokens INTEGER, output_tokens INTEGER, token_details TEXT,
  schema_id TEXT, resolved_model TEXT, reasoning TEXT);
CREATE VIRTUAL TABLE responses_fts USING FTS5 (prompt, response, content=responses);
CREATE TABLE attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE prompt_attachments (response_id TEXT, attachment_id TEXT, "order" INTEGER, PRIMARY KEY (response_id, attachment_id));
CREATE TABLE fragments (id INTEGER PRIMARY KEY, hash TEXT, content TEXT, datetime_utc TEXT, source TEXT);
CREATE TABLE prompt_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER, PRIMARY KEY (response_id, fragment_id, "order"));
CREATE TABLE system_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER, PRIMARY KEY (response_id, fragment_id, "order"));
CREATE TABLE tool_calls (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, arguments TEXT, tool_call_id TEXT);
CREATE TABLE tool_results (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, output TEXT, tool_call_id TEXT, instance_id INTEGER, exception TEXT);
INSERT INTO conversations VALUES ('01abc', 'What is in this', 'gpt-4o'), ('01xyz', 'alone', 'gpt-4o');
INSERT INTO responses (id, model, prompt, system, response, conversation_id, datetime_utc, resolved_model, reasoning) VALUES
  ('02', 'gpt-4o', '', NULL, 'It says 7.', '01abc', '2025-05-01T10:00:05.123456', NULL, NULL),
  ('01', 'gpt-4o', 'What is in this?', 'Be kind.', '', '01abc', '2025-05-01T10:00:00.123456+00:00', 'gpt-4o-2024-08-06', 'I call a tool'),
  ('03', 'gpt-4o', 'Hello', NULL, 'Hi', '01xyz', '2025-05-02T10:00:00', NULL, NULL),
  ('04', 'gpt-4o', 'Without a conversation', NULL, 'Yes', NULL, '2025-05-03T10:00:00', NULL, NULL);
INSERT INTO fragments VALUES (1, 'h', 'the file', '2025', 'notes.md');
INSERT INTO prompt_fragments VALUES ('01', 1, 0);
INSERT INTO attachments VALUES ('p', 'image/png', '/home/me/dot.png', NULL, x'89504E470D0A1A0A00'), ('u', 'image/png', NULL, 'https://example.org/x.png', NULL);
INSERT INTO prompt_attachments VALUES ('01', 'p', 0), ('01', 'u', 1);
INSERT INTO tool_calls VALUES (1, '01', 1, 'dice', '{"sides": 6}', 'call_a');
INSERT INTO tool_results VALUES (1, '02', 1, 'dice', '7', 'call_a', NULL, NULL);

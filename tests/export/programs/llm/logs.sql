CREATE TABLE logs (id INTEGER PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT, options_json TEXT, response TEXT, response_json TEXT,
  reply_to_id INTEGER, chat_id INTEGER, duration_ms INTEGER, datetime_utc TEXT);
INSERT INTO logs (id, model, prompt, system, response, chat_id, datetime_utc) VALUES
  (1, 'gpt-3.5-turbo', 'First', 'Sys', 'One', NULL, '2023-06-01 10:00:00.1'),
  (2, 'gpt-3.5-turbo', 'Second', NULL, 'Two', 1, '2023-06-01 10:01:00.1'),
  (3, 'gpt-3.5-turbo', 'Apart', NULL, 'Three', NULL, '2023-06-02 10:00:00.1');

CREATE TABLE "chat" ("id" INTEGER, "name" TEXT, "model" TEXT NOT NULL, "system" TEXT, "provider" TEXT DEFAULT "ollama", "parameters" TEXT DEFAULT "{}",
  "tools" TEXT DEFAULT "[]", "thinking" BOOLEAN DEFAULT 0, PRIMARY KEY("id" AUTOINCREMENT));
CREATE TABLE "message" ("id" INTEGER, "chat_id" INTEGER NOT NULL, "author" TEXT NOT NULL, "text" TEXT NOT NULL, "images" TEXT DEFAULT "[]", PRIMARY KEY("id" AUTOINCREMENT)
  FOREIGN KEY("chat_id") REFERENCES "chat"("id") ON DELETE CASCADE);
INSERT INTO chat (id, name, model, system) VALUES (1, 'first chat', 'llama3.2:latest', 'Be nice.'), (2, 'empty', 'llama3.2:latest', NULL);
INSERT INTO message (id, chat_id, author, text, images) VALUES (1, 1, 'me', 'See this', '["iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="]'),
  (2, 1, 'ollama', 'A dot.', '[]'), (3, 1, 'user', 'Sure?', '[]'), (4, 1, 'assistant', 'Yes.', '[]');

-- Conversations, their turns, and the blocks of the answers. A turn never changes once it has ended.
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    system TEXT,
    head INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    updated REAL NOT NULL
);
CREATE INDEX by_time ON conversations (updated);
-- attachments, notices and usage are JSON.
CREATE TABLE turns (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    role TEXT NOT NULL,
    text TEXT NOT NULL DEFAULT '',
    attachments TEXT NOT NULL DEFAULT '[]',
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    notices TEXT NOT NULL DEFAULT '[]',
    model TEXT NOT NULL DEFAULT '',
    usage TEXT NOT NULL DEFAULT 'null',
    once TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL,
    PRIMARY KEY (conversation, turn)
);
CREATE INDEX by_parent ON turns (conversation, parent, turn);
CREATE INDEX unfinished ON turns (state) WHERE state = 'writing';
CREATE UNIQUE INDEX taken_once ON turns (conversation, once) WHERE once <> '';
CREATE TABLE blocks (
    conversation INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    block INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (conversation, turn, block),
    FOREIGN KEY (conversation, turn) REFERENCES turns (conversation, turn) ON DELETE CASCADE
) WITHOUT ROWID;

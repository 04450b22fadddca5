-- The tables of state format 1. Every change of this file is a new format: raise STATE_FORMAT and write the step that
-- leads there. The shapes are meant to be taken over by Postgres: text, integers and bytes only, JSON as text.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The exports of feature graphs, by the digest of their bytes. Deployments with equal graphs share one.
CREATE TABLE graphs (
    digest TEXT NOT NULL PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE deployments (
    -- The order of creation: never reused, and independent of every clock.
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT    NOT NULL UNIQUE,
    environment      TEXT    NOT NULL,
    idempotency_key  TEXT,
    -- The digest of what was asked for, which a repeated key is compared with.
    content          TEXT    NOT NULL,
    graph            TEXT    NOT NULL REFERENCES graphs (digest),
    -- What follows are the journal's last number, its time, and the status that its fold gives.
    version          INTEGER NOT NULL CHECK (version >= 1),
    updated_at       INTEGER NOT NULL,
    status           TEXT    NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1))
) STRICT;

CREATE UNIQUE INDEX deployments_by_key ON deployments (environment, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE INDEX deployments_by_environment ON deployments (environment, number);

-- The journals. The plan stands in the first event and nowhere else.
CREATE TABLE events (
    deployment_id TEXT    NOT NULL REFERENCES deployments (id),
    sequence      INTEGER NOT NULL CHECK (sequence >= 1),
    at            INTEGER NOT NULL,
    -- The writer's fencing token; none while the source was awaited.
    token         INTEGER,
    -- The version of the body's format.
    format        INTEGER NOT NULL,
    body          TEXT    NOT NULL,
    PRIMARY KEY (deployment_id, sequence)
) STRICT, WITHOUT ROWID;

-- The newest lease of each environment. A row stays when its lease is given up, so that no token comes twice. Whether
-- the owner lives is not written here: the operating system's lock on leases/<environment>.lock says it.
CREATE TABLE leases (
    environment TEXT    NOT NULL PRIMARY KEY,
    token       INTEGER NOT NULL CHECK (token >= 1),
    given_up    INTEGER NOT NULL CHECK (given_up IN (0, 1)),
    holder      TEXT    NOT NULL,
    process     INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    acquired_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Up
-- People on their way through EVE's sign-on to sign in.
CREATE TABLE person_sign_in (
    id              uuid        PRIMARY KEY,
    -- SHA-256 of the state that comes back from the browser, and of what the browser
    -- was given to prove that it is the same one.
    state_hash      bytea       NOT NULL UNIQUE,
    browser_hash    bytea       NOT NULL,
    -- The PKCE verifier, AES-256-GCM, bound to the id.
    verifier_sealed bytea       NOT NULL,
    redirect_uri    text        NOT NULL,
    -- Where he goes afterwards: a path of Muster; empty for nowhere.
    return_to       text        NOT NULL,
    begun_at        timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL
);
CREATE INDEX person_sign_in_expires ON person_sign_in (expires_at);

-- People who are signed in.
CREATE TABLE session (
    -- SHA-256 of the session's id, which is the browser's alone.
    id_hash      bytea       PRIMARY KEY,
    user_id      text        NOT NULL,
    -- The character that he has signed in with.
    character_id bigint      NOT NULL,
    begun_at     timestamptz NOT NULL,
    -- When it was last used, to the minute.
    seen_at      timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL
);
CREATE INDEX session_of_user ON session (user_id);
CREATE INDEX session_ends ON session (ends_at);

-- The tokens of the API. What was decided is in the log; here is whether one is good
-- now, so that a revocation holds from the moment it is decided.
CREATE TABLE api_token (
    token_id       uuid        PRIMARY KEY,
    -- SHA-256 of the token, which is its holder's alone.
    secret_hash    bytea       NOT NULL UNIQUE,
    name           text        NOT NULL,
    -- The user whom it lets act; empty for a program.
    user_id        text        NOT NULL,
    -- The actions that it is for; null for all that its user may do.
    scope          text[],
    issued_by      text        NOT NULL,
    -- The user who has issued it; empty for the administrator.
    issued_by_user text        NOT NULL,
    issued_at      timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,
    revoked_at     timestamptz,
    revoked_by     text        NOT NULL DEFAULT '',
    -- To the minute.
    last_used_at   timestamptz
);
CREATE INDEX api_token_user ON api_token (user_id);

-- +goose Down
DROP TABLE api_token;
DROP TABLE session;
DROP TABLE person_sign_in;

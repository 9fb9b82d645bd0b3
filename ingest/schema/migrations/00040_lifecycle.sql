-- +goose Up
-- Registrations of characters by EVE's sign-on, from their beginning to what came
-- of them.
CREATE TABLE sign_in (
    id              uuid        PRIMARY KEY,
    -- SHA-256 of the state that comes back from the browser.
    state_hash      bytea       NOT NULL UNIQUE,
    -- The PKCE verifier, AES-256-GCM, bound to the id; gone once it was used.
    verifier_sealed bytea,
    redirect_uri    text        NOT NULL,
    user_id         text        NOT NULL,
    -- The character that is expected to log in; 0 is any.
    expected_id     bigint      NOT NULL DEFAULT 0,
    sections        text[]      NOT NULL,
    scopes          text[]      NOT NULL,
    actor           text        NOT NULL,
    begun_at        timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    -- When the browser came back; a state is good once.
    used_at         timestamptz,
    status          text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'completed', 'failed')),
    character_id    bigint      NOT NULL DEFAULT 0,
    character_name  text        NOT NULL DEFAULT '',
    -- What the registration came to, or why it came to nothing.
    outcome         text        NOT NULL DEFAULT '',
    failure         text        NOT NULL DEFAULT ''
);
CREATE INDEX sign_in_begun ON sign_in (begun_at);

-- Characters that were forgotten and not registered since. What is under way of
-- them comes to nothing.
CREATE TABLE forgotten (
    character_id bigint      PRIMARY KEY,
    at           timestamptz NOT NULL
);

-- +goose Down
DROP TABLE forgotten;
DROP TABLE sign_in;

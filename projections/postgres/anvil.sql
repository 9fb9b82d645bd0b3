-- The newest declaration and observation of each record. Together, applied in
-- the order of their offsets, they are the state of the consortium.
CREATE TABLE records (
    stream        text NOT NULL,
    side          text NOT NULL,
    kind          text NOT NULL,
    name          text NOT NULL,
    type          text NOT NULL,
    payload       json NOT NULL,
    actor         text NOT NULL,
    event_time    timestamptz NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL,
    PRIMARY KEY (stream, side, kind, name)
);

CREATE TABLE findings (
    finding_id    uuid PRIMARY KEY,
    stream        text NOT NULL,
    open          boolean NOT NULL,
    model         text NOT NULL,
    scope         text NOT NULL,
    record        text NOT NULL,
    kind          text NOT NULL,
    severity      text NOT NULL,
    opened_at     timestamptz NOT NULL,
    changed_at    timestamptz NOT NULL,
    resolved_at   timestamptz,
    -- The finding as its last event has it.
    finding       json NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);
CREATE INDEX findings_list ON findings (stream, open, opened_at, finding_id);

-- How often a finding had been resolved when it was last opened.
CREATE TABLE openings (
    finding_id    uuid PRIMARY KEY,
    stream        text NOT NULL,
    reopened      integer NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

CREATE TABLE sweeps (
    sweep_id      uuid PRIMARY KEY,
    stream        text NOT NULL,
    started_at    timestamptz NOT NULL,
    completed_at  timestamptz,
    -- What came of it; null while it is under way or if it was interrupted.
    summary       json,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);
CREATE INDEX sweeps_list ON sweeps (stream, started_at DESC);

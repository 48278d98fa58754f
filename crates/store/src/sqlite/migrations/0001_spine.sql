-- Instants are milliseconds since the Unix epoch. Ids that the gateway makes are the sixteen bytes of a UUIDv7, which
-- keeps inserts at the end of their trees. Words for states are the wire's.

CREATE TABLE jobs (
    seq                INTEGER PRIMARY KEY,
    id                 TEXT NOT NULL UNIQUE,
    definition         TEXT NOT NULL,     -- JSON, secrets included
    name               TEXT NOT NULL,     -- name, label, description and agent repeat the definition for searching
    label              TEXT NOT NULL DEFAULT '',
    description        TEXT NOT NULL DEFAULT '',
    agent_id           TEXT NOT NULL,
    enabled            INTEGER NOT NULL,  -- its owner's switch
    lane               TEXT NOT NULL,
    next_run_at        INTEGER,           -- null while disabled, or once a one-shot is used up
    running            INTEGER NOT NULL DEFAULT 0, -- how many of its runs are under way
    waiting            INTEGER NOT NULL DEFAULT 0, -- how many of its runs are queued
    running_at         INTEGER,           -- since when one is under way
    removed            INTEGER NOT NULL DEFAULT 0, -- removed while a run was open; the row goes with its end
    last_run           BLOB,
    consecutive_errors INTEGER NOT NULL DEFAULT 0,
    backoff_until      INTEGER,
    auto_disabled      TEXT,              -- JSON: why and when the gateway switched it off
    alerts             TEXT,              -- JSON: what was told of its trouble; null while there is none to remember
    ledger_floor       INTEGER,           -- instants up to this one have had their records, which are forgotten by now
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_switched_off ON jobs (seq) WHERE auto_disabled IS NOT NULL;
CREATE INDEX jobs_due ON jobs (lane, next_run_at) WHERE next_run_at IS NOT NULL;
-- For lists. The jobs that wait for an instant are listed through `jobs_due`, which claims maintain anyway; an index on
-- `updated_at`, which every run's end moves, would cost each of them a sixth.
CREATE INDEX jobs_never_due ON jobs (enabled, next_run_at) WHERE next_run_at IS NULL AND removed = 0;
CREATE INDEX jobs_by_name ON jobs (enabled, name COLLATE NOCASE) WHERE removed = 0;
-- How many jobs there are, kept by triggers that neither a claim nor the end of a run fires.
CREATE TABLE job_counts (
    enabled INTEGER PRIMARY KEY,
    jobs    INTEGER NOT NULL
) STRICT;
INSERT INTO job_counts (enabled, jobs) VALUES (0, 0), (1, 0);
CREATE TRIGGER jobs_counted_in AFTER INSERT ON jobs WHEN new.removed = 0 BEGIN
    UPDATE job_counts SET jobs = jobs + 1 WHERE enabled = new.enabled;
END;
CREATE TRIGGER jobs_counted_out AFTER DELETE ON jobs WHEN old.removed = 0 BEGIN
    UPDATE job_counts SET jobs = jobs - 1 WHERE enabled = old.enabled;
END;
CREATE TRIGGER jobs_counted_anew AFTER UPDATE OF enabled, removed ON jobs
    WHEN new.enabled <> old.enabled OR new.removed <> old.removed BEGIN
    UPDATE job_counts SET jobs = jobs - 1 WHERE enabled = old.enabled AND old.removed = 0;
    UPDATE job_counts SET jobs = jobs + 1 WHERE enabled = new.enabled AND new.removed = 0;
END;

-- The ledger. A row outlives its job, so that no instant can ever be claimed twice.
CREATE TABLE occurrences (
    job_id      TEXT NOT NULL,
    due_at      INTEGER NOT NULL,
    outcome     TEXT NOT NULL,            -- ran | skipped | missed
    run_id      BLOB,                     -- of an instant that was run: the last try
    reason      TEXT,                     -- why it was skipped or missed; it stays where the instant is run after all
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (job_id, due_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    job_id       TEXT NOT NULL,
    job_name     TEXT NOT NULL,
    agent_id     TEXT NOT NULL,
    trigger      TEXT NOT NULL,
    scheduled_at INTEGER,
    attempt      INTEGER NOT NULL DEFAULT 1, -- which try of its occurrence
    lane         TEXT NOT NULL,
    state        TEXT NOT NULL,           -- queued | running | finished
    ready_at     INTEGER,                 -- set while queued, but not while it waits for a run of its job to end
    owner        BLOB,                    -- the gateway's life that runs it
    session_id   BLOB NOT NULL,
    session_key  TEXT NOT NULL,
    best_effort  INTEGER NOT NULL,
    queued_at    INTEGER NOT NULL,
    started_at   INTEGER,
    ended_at     INTEGER,
    status       TEXT,                    -- ok | error | skipped
    outcome      TEXT,                    -- JSON
    begun_seq    INTEGER,                 -- the number in the log of events under which it is told that it began
    deferrals    INTEGER NOT NULL DEFAULT 0, -- how often it was put back, because it was asked to wait
    wait_reason  TEXT,                    -- why it was put back the last time
    late_at      INTEGER,                 -- when a result came after the run had been given up
    late_outcome TEXT,                    -- JSON: that result
    provenance   TEXT,                    -- JSON: what led to it; null where somebody or the clock began it
    request      INTEGER,                 -- the request to a hook that asked for it
    work         TEXT,                    -- JSON, secrets included: the definition that it runs by, where not its job's
    upstream     BLOB,                    -- the run of another job whose end began it
    refused      TEXT                     -- why it is not executed when its turn comes
) STRICT;
CREATE INDEX runs_of_job ON runs (job_id, seq);
CREATE INDEX runs_begun ON runs (begun_seq) WHERE begun_seq IS NOT NULL;
CREATE INDEX runs_running ON runs (seq) WHERE state = 'running';
CREATE INDEX runs_queued ON runs (job_id, seq) WHERE state = 'queued';
CREATE INDEX runs_ready ON runs (lane, ready_at, seq) WHERE ready_at IS NOT NULL;
CREATE INDEX runs_of_request ON runs (request, seq) WHERE request IS NOT NULL;

-- A session of one run's own goes with its run; one that is kept belongs to its agent.
CREATE TABLE sessions (
    seq        INTEGER PRIMARY KEY,
    id         BLOB NOT NULL UNIQUE,
    key        TEXT NOT NULL,
    agent_id   TEXT NOT NULL,
    job_id     TEXT NOT NULL,             -- the job that ran in it last
    run_id     BLOB,                      -- the run whose own it is; null where it is kept
    cleanup    INTEGER NOT NULL DEFAULT 0, -- 1 where it goes as soon as its run's deliveries are settled
    waiting    INTEGER NOT NULL DEFAULT 0, -- how many system events wait for its next turn, kept by triggers
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_kept ON sessions (key) WHERE run_id IS NULL;
CREATE INDEX sessions_to_clean ON sessions (run_id) WHERE cleanup = 1;

CREATE TABLE transcript (
    seq        INTEGER PRIMARY KEY,
    session_id BLOB NOT NULL,
    run_id     BLOB NOT NULL,
    kept       INTEGER NOT NULL DEFAULT 0, -- 1 in a session that is kept
    remembered INTEGER NOT NULL DEFAULT 1, -- 0 where later turns of such a session are not told of it
    at         INTEGER NOT NULL,
    role       TEXT NOT NULL,
    text       TEXT NOT NULL,
    detail     TEXT                       -- JSON: what it is beside plain speech
) STRICT;
CREATE INDEX transcript_of_run ON transcript (run_id);
CREATE INDEX transcript_of_kept ON transcript (session_id, seq) WHERE kept = 1;

-- What waits for a turn of a session that is kept. A row goes in the transaction that ends the turn which was told of it.
CREATE TABLE system_events (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: a turn names what it was told by it
    session_id BLOB NOT NULL,
    agent_id   TEXT NOT NULL,
    job_id     TEXT NOT NULL,
    run_id     BLOB,
    at         INTEGER NOT NULL,
    text       TEXT NOT NULL
) STRICT;
CREATE INDEX system_events_of_session ON system_events (session_id, seq);
CREATE TRIGGER system_events_counted_in AFTER INSERT ON system_events BEGIN
    UPDATE sessions SET waiting = waiting + 1 WHERE id = new.session_id;
END;
CREATE TRIGGER system_events_counted_out AFTER DELETE ON system_events BEGIN
    UPDATE sessions SET waiting = waiting - 1 WHERE id = old.session_id;
END;

-- What was spent, by days of the gateway's zone. It outlives the runs; only runs that used tokens are counted.
CREATE TABLE spending (
    day           INTEGER NOT NULL,       -- days since 1970-01-01
    job_id        TEXT NOT NULL,
    agent_id      TEXT NOT NULL,
    provider      TEXT NOT NULL,
    model         TEXT NOT NULL,
    runs          INTEGER NOT NULL,
    unpriced      INTEGER NOT NULL,       -- of these runs, those of a model whose price is not known
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    total_tokens  INTEGER NOT NULL,
    usd_micros    INTEGER NOT NULL,
    PRIMARY KEY (day, job_id, agent_id, provider, model)
) STRICT, WITHOUT ROWID;
CREATE TABLE spending_days (
    day          INTEGER PRIMARY KEY,
    runs         INTEGER NOT NULL,
    total_tokens INTEGER NOT NULL,
    usd_micros   INTEGER NOT NULL
) STRICT;

-- What happens around runs, and when jobs are made.
CREATE TABLE hook_calls (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: an end names its call by it
    run_id      BLOB,                     -- null where it follows the making of the job
    job_id      TEXT NOT NULL,
    stage       TEXT NOT NULL,
    name        TEXT NOT NULL,
    global      INTEGER NOT NULL,         -- 1 where the configuration has it
    kind        TEXT NOT NULL,
    hook        TEXT,                     -- JSON, secrets included: what to do, until it is done
    state       TEXT NOT NULL,            -- pending | running | done | failed | interrupted
    owner       BLOB,                     -- the gateway's life that does it
    delivery_id BLOB,                     -- the delivery that it is, whose state is its own
    created_at  INTEGER NOT NULL,
    started_at  INTEGER,
    ended_at    INTEGER,
    report      TEXT                      -- JSON
) STRICT;
CREATE INDEX hook_calls_of_run ON hook_calls (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX hook_calls_of_no_run ON hook_calls (job_id, seq) WHERE run_id IS NULL;
CREATE INDEX hook_calls_open ON hook_calls (state, seq) WHERE state IN ('pending', 'running');

-- Which jobs begin when another has ended; it repeats their definitions.
CREATE TABLE chains (
    upstream TEXT NOT NULL,
    job_id   TEXT NOT NULL,
    PRIMARY KEY (upstream, job_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX chains_of_job ON chains (job_id, upstream);
-- However a job goes, nothing waits in its name.
CREATE TRIGGER chains_gone AFTER DELETE ON jobs BEGIN
    DELETE FROM chains WHERE job_id = old.id;
END;

-- What is counted for ever.
CREATE TABLE tallies (
    name  TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO tallies (name, count) VALUES ('loops-broken', 0);

-- The log of all that happened. A number is never used again: those who follow the log name the last one they have read. That a
-- run began is mostly not here, but told from the run itself (`runs.begun_seq`).
CREATE TABLE events (
    seq        INTEGER PRIMARY KEY,
    id         BLOB NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    run_id     BLOB,                      -- of a run that has begun or finished; the event goes with it
    job_id     TEXT,                      -- this and the next two repeat the body for those who filter
    agent_id   TEXT,
    status     TEXT,                      -- of a run that has finished
    created_at INTEGER NOT NULL,
    body       BLOB NOT NULL              -- the exact bytes
) STRICT;
-- Up to which event some are forgotten by now.
CREATE TABLE events_forgotten (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    upto INTEGER NOT NULL
) STRICT;
INSERT INTO events_forgotten (only, upto) VALUES (1, 0);
CREATE INDEX events_of_run ON events (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX events_alerts ON events (seq) WHERE kind = 'job.alert';
-- For what goes with age; the event of a run goes with its run.
CREATE INDEX events_of_no_run ON events (created_at) WHERE run_id IS NULL;

-- Whom events are carried to. A row outlives its destination's removal, because its history names it.
CREATE TABLE destinations (
    seq           INTEGER PRIMARY KEY,
    kind          TEXT NOT NULL,          -- named | url | announce
    key           TEXT NOT NULL,          -- the name; or the place itself, secrets included
    definition    TEXT,                   -- JSON, of a named one
    send_empty    INTEGER NOT NULL DEFAULT 0, -- this and the next two repeat the definition for the outbox
    ordering      TEXT NOT NULL DEFAULT 'none',
    subscribes    INTEGER NOT NULL DEFAULT 0,
    declared_in   TEXT,
    revision      INTEGER NOT NULL DEFAULT 1,
    standing      TEXT NOT NULL DEFAULT 'active', -- active | paused | disabled; the three below while it is not active
    halt_reason   TEXT,
    halt_detail   TEXT,
    halted_at     INTEGER,
    failing_since INTEGER,
    resumed_at    INTEGER,
    removed       INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX destinations_by_key ON destinations (kind, key) WHERE removed = 0;
CREATE INDEX destinations_subscribed ON destinations (subscribes) WHERE subscribes = 1 AND removed = 0;

CREATE TABLE deliveries (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    event_seq    INTEGER NOT NULL REFERENCES events (seq),
    event_id     BLOB NOT NULL,
    run_id       BLOB,
    job_id       TEXT NOT NULL,
    required     INTEGER NOT NULL,        -- 1 where the run's job asked for it, and its completion waits for it
    replay_of    BLOB,                    -- the delivery whose event it carries once more
    ladder       INTEGER,                 -- where its event goes next, where it does
    after        BLOB,                    -- the delivery of its ladder before it
    replay       INTEGER,                 -- the replay that queued it last, where one did
    destination  INTEGER NOT NULL REFERENCES destinations (seq),
    order_key    TEXT,                    -- what it keeps an order within, where its destination asks for one
    state        TEXT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    retries_used INTEGER NOT NULL DEFAULT 0,
    refusals     INTEGER NOT NULL DEFAULT 0,
    next_at      INTEGER,                 -- set while pending or waiting, but not behind another in an order
    pieces_sent  INTEGER NOT NULL DEFAULT 0, -- of a message to people: how many of its parts have arrived
    lease        BLOB,                    -- set exactly while leased, with the two below
    leased_at    INTEGER,
    lease_until  INTEGER,
    removes_job  INTEGER NOT NULL DEFAULT 0,
    reason       TEXT,
    cause        TEXT,                    -- while it is dead: receiver | configuration | gateway
    created_at   INTEGER NOT NULL,
    armed_at     INTEGER NOT NULL,        -- when its retry schedule began: with it, or when a person asked again
    settled_at   INTEGER
) STRICT;
CREATE INDEX deliveries_of_run ON deliveries (run_id);
CREATE INDEX deliveries_of_no_run ON deliveries (event_seq) WHERE run_id IS NULL;
CREATE INDEX deliveries_due ON deliveries (destination, state, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (cause) WHERE state = 'dead';
CREATE INDEX deliveries_replayed ON deliveries (replay_of) WHERE replay_of IS NOT NULL;
CREATE INDEX deliveries_of_replay ON deliveries (replay, event_seq, destination, state) WHERE replay IS NOT NULL;
CREATE INDEX deliveries_ordered ON deliveries (destination, order_key, seq)
    WHERE order_key IS NOT NULL AND settled_at IS NULL;

CREATE INDEX deliveries_of_ladder ON deliveries (ladder, seq) WHERE ladder IS NOT NULL;

-- Where an event goes next: when a delivery of it dies, or when nobody acknowledges it in time.
CREATE TABLE ladders (
    seq             INTEGER PRIMARY KEY,
    event_seq       INTEGER NOT NULL,
    rungs           TEXT NOT NULL,        -- JSON: the targets above the present rung
    ask             TEXT,                 -- JSON: how an acknowledgement is asked for; null where none is
    asked           INTEGER NOT NULL DEFAULT 0, -- how often the present rung was asked again
    ask_at          INTEGER,              -- when it is asked again, or the next rung is; null while it is on its way
    state           TEXT NOT NULL,        -- open | acknowledged | unacknowledged | ended
    acknowledged_at INTEGER,
    acknowledged_by TEXT
) STRICT;
CREATE INDEX ladders_of_event ON ladders (event_seq);
CREATE INDEX ladders_to_ask ON ladders (ask_at) WHERE ask_at IS NOT NULL;
CREATE TRIGGER ladders_go AFTER DELETE ON events BEGIN
    DELETE FROM ladders WHERE event_seq = old.seq;
END;

-- Where something was last announced for an agent.
CREATE TABLE last_routes (
    agent_id TEXT PRIMARY KEY,
    place    TEXT NOT NULL,               -- JSON, as the key of its destination
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    delivery_seq INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    report       TEXT NOT NULL,           -- JSON
    next_at      INTEGER,
    decision     TEXT NOT NULL,
    PRIMARY KEY (delivery_seq, number)
) STRICT, WITHOUT ROWID;

-- The sending once more of a range of deliveries. It looks at those that were settled when it began, in their order, and
-- moves its cursor in the transaction that queues them.
CREATE TABLE replays (
    seq         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    filter      TEXT NOT NULL,            -- JSON
    destination INTEGER REFERENCES destinations (seq), -- where to, if not to each one's own
    per_second  REAL,
    upto        INTEGER NOT NULL,         -- the last delivery that there was
    cursor      INTEGER NOT NULL DEFAULT 0, -- the last delivery that it has gone past
    matched     INTEGER NOT NULL,
    done        INTEGER NOT NULL DEFAULT 0,
    skipped     INTEGER NOT NULL DEFAULT 0,
    state       TEXT NOT NULL,            -- running | done | cancelled
    reason      TEXT,
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER
) STRICT;
CREATE INDEX replays_running ON replays (seq) WHERE state = 'running';

-- The inbound hooks that the configuration has: each is a job of the gateway's own.
CREATE TABLE hooks (
    job_id    TEXT PRIMARY KEY,
    at_once   INTEGER NOT NULL,           -- how many of its runs go on at once
    held      INTEGER NOT NULL,           -- 1 where the configuration has nothing of it begin
    paused_at INTEGER                     -- while a person has nothing of it begin
) STRICT, WITHOUT ROWID;

-- What was asked of hooks: written with what was asked for, before the answer is given.
CREATE TABLE hook_requests (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    job_id       TEXT NOT NULL,           -- the hook's job
    path         TEXT NOT NULL,           -- behind `hooks.path`
    received_at  INTEGER NOT NULL,
    completed_at INTEGER,                 -- when the last of its runs ended; at once where it has none
    idempotency  BLOB,                    -- digest of who asked and of the key
    asked_for    BLOB,                    -- with it: digest of what was asked for
    outcome      TEXT NOT NULL,           -- queued | coalesced | published | ignored
    first_event  INTEGER,                 -- the first and the last of the events that it was made into, where no agent is
    last_event   INTEGER,                 -- needed
    replay_of    BLOB,
    client       TEXT,
    answer       TEXT NOT NULL,           -- JSON: what was answered, and is answered again
    headers      TEXT NOT NULL,           -- JSON, secrets masked; null once it is forgotten with the body
    body         BLOB NOT NULL            -- the exact bytes
) STRICT;
CREATE UNIQUE INDEX hook_requests_by_key ON hook_requests (idempotency) WHERE idempotency IS NOT NULL;
CREATE INDEX hook_requests_of_hook ON hook_requests (job_id, seq);

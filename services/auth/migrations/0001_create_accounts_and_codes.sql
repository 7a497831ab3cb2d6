create table accounts (
    id uuid not null default uuidv7() constraint accounts_pk primary key,
    address text not null,
    language text not null,
    active boolean not null default true,
    epoch integer not null default 1,
    version integer not null default 1,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    constraint accounts_language_is_ours check (language in ('nb', 'nn', 'en')),
    constraint accounts_address_is_normal check (address = lower(address)),
    constraint accounts_address_once unique (address)
);
comment on table accounts is 'People who may log in. Every change raises the version, and AccountChanged tells it.';

create table challenges (
    id uuid not null default uuidv7() constraint challenges_pk primary key,
    address text not null,
    address_digest bytea not null,
    browser_digest bytea not null,
    source_digest bytea not null,
    source_limit integer not null,
    reference text not null,
    asked_at timestamptz not null default now(),
    expires_at timestamptz not null,
    settled_at timestamptz,
    account_id uuid constraint challenges_account_exists references accounts on delete cascade,
    code_digest bytea,
    tries integer not null default 0,
    used_at timestamptz,
    constraint challenges_code_has_account check ((code_digest is null) = (account_id is null)),
    constraint challenges_code_lives_at_most_ten_minutes check (expires_at <= asked_at + interval '10 minutes')
);
create index challenges_unsettled on challenges (asked_at) where settled_at is null;
create index challenges_of_browser on challenges (browser_digest, address_digest, expires_at);
create index challenges_of_account on challenges (account_id, settled_at) where account_id is not null;
create index challenges_of_source on challenges (source_digest, asked_at);
comment on table challenges is 'Codes that were asked for, by members and strangers alike; settled when a worker has issued a code or found that none is due.';
comment on column challenges.code_digest is 'HMAC-SHA-256 of id and code under a key outside the database.';
comment on column challenges.tries is 'Codes tried against it; counted, and committed, before a code is judged.';

create table code_attempts (
    id bigint generated always as identity constraint code_attempts_pk primary key,
    subject bytea not null,
    challenge_id uuid not null,
    tried_at timestamptz not null default now(),
    succeeded boolean not null default false
);
create index code_attempts_of_subject on code_attempts (subject, tried_at);
comment on table code_attempts is 'Every code tried, by the keyed hash of the address that was typed, known or not; a known device has a subject of its own.';

create table known_devices (
    account_id uuid not null constraint known_devices_account_exists references accounts on delete cascade,
    browser_digest bytea not null,
    seen_at timestamptz not null default now(),
    constraint known_devices_pk primary key (account_id, browser_digest)
);
comment on table known_devices is 'Browsers that logged in to an account: counted on their own, so that nobody can keep the person out of them.';

create table sessions (
    id uuid not null default uuidv7() constraint sessions_pk primary key,
    token_digest bytea not null constraint sessions_token_once unique,
    account_id uuid not null constraint sessions_account_exists references accounts on delete cascade,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    ends_at timestamptz not null,
    ended_at timestamptz
);
create index sessions_of_account on sessions (account_id);
comment on table sessions is 'Log-ins. The token itself is in the browser only.';

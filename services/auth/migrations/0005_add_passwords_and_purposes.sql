alter table accounts
    add column user_name text,
    add column user_name_key text,
    add column security_epoch integer not null default 1,
    add constraint accounts_user_name_once unique (user_name_key),
    add constraint accounts_user_name_has_key check ((user_name is null) = (user_name_key is null)),
    add constraint accounts_user_name_is_no_address check (position('@' in user_name_key) = 0);
comment on column accounts.user_name is 'As it was typed; null for those who log in with their address (L1).';
comment on column accounts.user_name_key is 'The same as it is compared: NFKC, case folded, trimmed.';
comment on column accounts.security_epoch is 'Raised by what makes all tokens of the account void: a new password, a right taken away, all sessions ended.';

alter table challenges
    add column purpose text not null default 'login',
    drop constraint challenges_code_has_account,
    drop constraint challenges_code_lives_at_most_ten_minutes,
    add constraint challenges_code_has_account check (code_digest is null or account_id is not null),
    add constraint challenges_purpose_is_known
        check (purpose in ('login', 'activation', 'password_reset', 'user_name', 'password_instructions')),
    add constraint challenges_live_briefly check (expires_at <= asked_at +
        case when purpose in ('user_name', 'password_instructions') then interval '30 minutes' else interval '10 minutes' end);
create unique index challenges_link on challenges (code_digest) where purpose = 'password_instructions' and code_digest is not null;
comment on column challenges.purpose is 'What was asked for, and so what its code is good for.';
comment on column challenges.address is 'What was typed, as it is compared: an address, or where instructions for a password are wanted a user name.';
comment on column challenges.code_digest is 'HMAC-SHA-256 under a key outside the database: of id and code, or of the token in a link.';

create table passwords (
    account_id uuid not null constraint passwords_pk primary key
        constraint passwords_account_exists references accounts on delete cascade,
    hash text not null,
    changed_at timestamptz not null default now(),
    constraint passwords_are_argon2id check (hash like '$argon2id$%')
);
comment on table passwords is 'Passwords of those who have one.';
comment on column passwords.hash is 'argon2id, in its own notation, of an HMAC-SHA-256 of account and password under a key outside the database.';

create table password_attempts (
    id bigint generated always as identity constraint password_attempts_pk primary key,
    source_digest bytea not null,
    tried_at timestamptz not null default now(),
    succeeded boolean not null default false
);
create index password_attempts_of_source on password_attempts (source_digest, tried_at) where not succeeded;
create index password_attempts_tried on password_attempts (tried_at);
comment on table password_attempts is 'Every password tried, by the keyed hash of the network address that it came from.';

create table blocks (
    subject bytea not null constraint blocks_pk primary key,
    account_id uuid constraint blocks_account_exists references accounts on delete cascade,
    failures integer not null,
    blocked_until timestamptz,
    told_at timestamptz,
    changed_at timestamptz not null default now()
);
create index blocks_of_account on blocks (account_id) where account_id is not null;
create index blocks_untold on blocks (blocked_until) where blocked_until is not null and told_at is null and account_id is not null;
create index blocks_changed on blocks (changed_at);
comment on table blocks is 'Wrong passwords in a row and the block that follows them (L7-L11), by the keyed hash of an account and its unknown devices, of an account and one known device, or of what was typed where nobody has it.';
comment on column blocks.failures is 'Counted, and committed, before a password is compared; a log-in takes the row away.';
comment on column blocks.told_at is 'When a worker owed the mail about this block, or found that none is due.';

create table block_notices (
    account_id uuid not null constraint block_notices_account_exists references accounts on delete cascade,
    owed_at timestamptz not null default now()
);
create index block_notices_of_account on block_notices (account_id, owed_at);
comment on table block_notices is 'Mails about blocks that were owed: at most three a day for one account.';

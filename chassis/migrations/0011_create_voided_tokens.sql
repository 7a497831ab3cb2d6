create table voided_tokens (
    account_id uuid not null,
    session_id uuid,
    below_epoch bigint,
    noted_at timestamptz not null default now(),
    constraint voided_tokens_once unique nulls not distinct (account_id, session_id),
    constraint voided_tokens_say_which check (num_nulls(session_id, below_epoch) = 1)
);
comment on table voided_tokens is 'Access tokens that are void though they have not expired, as auth told: each api process mirrors it. A row is kept until no token can live that was issued before it.';
comment on column voided_tokens.session_id is 'The tokens of this session; null where the row is about all of the account below an epoch.';
comment on column voided_tokens.below_epoch is 'All tokens of the account with a lower security epoch.';
comment on column voided_tokens.noted_at is 'By this database''s clock, when the latest message came that says so.';

create table erased_accounts (
    id uuid not null constraint erased_accounts_pk primary key,
    version integer not null,
    erased_at timestamptz not null default now()
);
comment on table erased_accounts is 'Ids of accounts that are no more, and of those that only a lost time knew: republish tells of them, so that no reader keeps a person.';
comment on column accounts.epoch is 'Not read any more: the epoch is the whole service''s, current_epoch(). Dropped in a later release.';

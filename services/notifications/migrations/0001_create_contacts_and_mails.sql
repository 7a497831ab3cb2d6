create table contacts (
    account_id uuid not null constraint contacts_pk primary key,
    epoch integer not null,
    version integer not null,
    active boolean not null,
    address text not null,
    language text not null,
    changed_at timestamptz not null default now(),
    constraint contacts_language_is_ours check (language in ('nb', 'nn', 'en'))
);
comment on table contacts is 'Own copy of where mail reaches an account and in which language; the highest (epoch, version) seen stays.';

create table mails (
    id uuid not null default uuidv7() constraint mails_pk primary key,
    source text not null,
    message_id text not null,
    message_type text not null,
    kind text not null,
    account_id uuid not null,
    account_epoch integer not null,
    account_version integer not null,
    details jsonb not null,
    sealed_code text,
    urgent boolean not null,
    owed_at timestamptz not null default now(),
    expires_at timestamptz not null,
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    claim uuid,
    claimed_until timestamptz,
    settled_at timestamptz,
    outcome text,
    smtp_code integer,
    constraint mails_once_a_message unique (source, message_id),
    constraint mails_outcome_is_known check (outcome in ('delivered', 'bounced', 'given_up')),
    constraint mails_settled_has_outcome check ((settled_at is null) = (outcome is null)),
    constraint mails_settled_keeps_no_code check (settled_at is null or sealed_code is null)
);
create index mails_due on mails (urgent desc, due_at) where settled_at is null;
create index mails_settled on mails (settled_at) where settled_at is not null;
comment on table mails is 'E-mails owed, sent and given up. Rows are work: a courier claims one, for a time.';
comment on column mails.details is 'What the template needs and anybody may read: reference, times.';
comment on column mails.sealed_code is 'The code as JWE to this service, opened in the courier''s memory only, removed when the mail is settled.';
comment on column mails.claim is 'Which claim of which courier holds the row; one that was overtaken settles nothing.';

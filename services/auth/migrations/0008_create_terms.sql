create table terms_versions (
    number bigint generated always as identity constraint terms_versions_pk primary key,
    name text not null,
    version text not null,
    asks_again boolean not null,
    published_at timestamptz not null default now(),
    constraint terms_versions_once unique (name, version)
);
comment on table terms_versions is 'Versions of the terms that contracts/rights.py names, in the order in which they were published; the last of a name is in force.';
comment on column terms_versions.asks_again is 'Whoever accepted an earlier version must accept this one too.';

create table terms_texts (
    name text not null,
    version text not null,
    language text not null,
    text text not null,
    consent text not null,
    published_at timestamptz not null default now(),
    constraint terms_texts_pk primary key (name, version, language),
    constraint terms_texts_version_exists foreign key (name, version) references terms_versions (name, version),
    constraint terms_texts_language_is_ours check (language in ('nb', 'nn', 'en'))
);
comment on table terms_texts is 'What people read and accept, as it was shown; a published text never changes.';
comment on column terms_texts.consent is 'What stands beside the tick.';

create table terms_acceptances (
    account_id uuid not null constraint terms_acceptances_account_exists references accounts on delete cascade,
    name text not null,
    version text not null,
    accepted_at timestamptz not null default now(),
    constraint terms_acceptances_pk primary key (account_id, name, version),
    constraint terms_acceptances_version_exists foreign key (name, version) references terms_versions (name, version)
);
comment on table terms_acceptances is 'Who has accepted which version, and when; once.';

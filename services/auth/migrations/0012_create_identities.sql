create table national_numbers (
    number_digest bytea not null constraint national_numbers_pk primary key,
    account_id uuid not null constraint national_numbers_account_exists references accounts on delete cascade,
    constraint national_numbers_of_account unique (number_digest, account_id)
);
create index national_numbers_account on national_numbers (account_id);
comment on table national_numbers is 'To which account a person''s identities are linked, whichever provider told of them: one at a time (I20).';
comment on column national_numbers.number_digest is 'HMAC-SHA-256 of the identity number under a key outside the database.';

create table identities (
    id uuid not null constraint identities_pk primary key,
    account_id uuid not null constraint identities_account_exists references accounts on delete cascade,
    provider text not null,
    issuer text not null,
    subject text not null,
    number_closed text,
    number_digest bytea,
    activated_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    constraint identities_once unique (issuer, subject),
    constraint identities_number_has_digest check ((number_closed is null) = (number_digest is null)),
    constraint identities_number_is_of_one_account foreign key (number_digest, account_id)
        references national_numbers (number_digest, account_id) on delete cascade
);
create index identities_of_account on identities (account_id, activated_at);
create index identities_of_number on identities (number_digest) where number_digest is not null;
comment on table identities is 'Who somebody is elsewhere, linked to one account. Known by issuer and subject, never by an address (sec-A14).';
comment on column identities.number_closed is 'The identity number as JWE under a mounted key, bound to the row.';

create table identity_proofs (
    id uuid not null default uuidv7() constraint identity_proofs_pk primary key,
    token_digest bytea not null constraint identity_proofs_token_once unique,
    provider text not null,
    issuer text not null,
    subject text not null,
    assurance text not null,
    language text not null,
    session_name text,
    number_closed text,
    number_digest bytea,
    token_closed text not null,
    proven_at timestamptz not null default now(),
    expires_at timestamptz not null default now() + interval '15 minutes',
    used_at timestamptz,
    constraint identity_proofs_assurance_is_known check (assurance in ('low', 'substantial', 'high')),
    constraint identity_proofs_language_is_ours check (language in ('nb', 'nn', 'en')),
    constraint identity_proofs_number_has_digest check ((number_closed is null) = (number_digest is null))
);
create index identity_proofs_expired on identity_proofs (expires_at);
comment on table identity_proofs is 'Identities that have logged in and are linked to no account yet: the browser holds the token, for 15 minutes.';

create table oidc_flows (
    id uuid not null default uuidv7() constraint oidc_flows_pk primary key,
    provider text not null,
    state_digest bytea not null constraint oidc_flows_state_once unique,
    browser_digest bytea not null,
    source_digest bytea not null,
    assurance text not null,
    language text not null,
    return_to text not null,
    begun_at timestamptz not null default now(),
    expires_at timestamptz not null default now() + interval '10 minutes',
    used_at timestamptz,
    constraint oidc_flows_assurance_is_known check (assurance in ('low', 'substantial', 'high')),
    constraint oidc_flows_language_is_ours check (language in ('nb', 'nn', 'en')),
    constraint oidc_flows_return_stays_here check (return_to like '/%' and return_to not like '//%')
);
create index oidc_flows_of_source on oidc_flows (source_digest, begun_at);
create index oidc_flows_expired on oidc_flows (expires_at);
comment on table oidc_flows is 'Log-ins that were begun at a provider. State, nonce and PKCE verifier are made of one secret that the browser''s address bar brings back; here is its digest alone.';

alter table sessions
    drop constraint sessions_method_is_known,
    add constraint sessions_method_is_known check (method in ('code', 'password', 'provider'));

create table provider_sessions (
    session_id uuid not null constraint provider_sessions_pk primary key
        constraint provider_sessions_session_exists references sessions on delete cascade,
    provider text not null,
    issuer text not null,
    name text,
    token_closed text not null
);
create index provider_sessions_of_issuer on provider_sessions (issuer, name) where name is not null;
comment on table provider_sessions is 'Which session of a provider a session here came from: either may end the other.';
comment on column provider_sessions.token_closed is 'The ID token, which log-out shows to the provider, as JWE under a mounted key, bound to the session.';

alter table sessions
    add column organisation_id uuid,
    add column assurance text not null default 'low',
    add column method text not null default 'code',
    add constraint sessions_assurance_is_known check (assurance in ('low', 'substantial', 'high')),
    add constraint sessions_method_is_known check (method in ('code', 'password'));
comment on column sessions.organisation_id is 'The organisation that the person acts for, if one was chosen; whether they still may is asked anew for each token.';

create table refresh_families (
    id uuid not null default uuidv7() constraint refresh_families_pk primary key,
    session_id uuid not null constraint refresh_families_session_exists references sessions on delete cascade,
    latest integer not null default 1 constraint refresh_families_latest_counts_from_one check (latest >= 1),
    rotated_at timestamptz[] not null default '{}',
    ended_at timestamptz
);
create index refresh_families_of_session on refresh_families (session_id);
comment on table refresh_families is 'Chains of refresh tokens, each bound to a session. A token is its family, its number and a keyed digest of both, so nothing secret is here.';
comment on column refresh_families.latest is 'The number of the newest token. An older one that is presented ends the family and its session, but for those that were followed a moment ago.';
comment on column refresh_families.rotated_at is 'When the last ten tokens were followed by another; the last of these times is that of the one before the newest.';

create table client_assertions (
    system text not null,
    token_id text not null,
    expires_at timestamptz not null,
    constraint client_assertions_once primary key (system, token_id)
);
create index client_assertions_expired on client_assertions (expires_at);
comment on table client_assertions is 'Proofs by which systems have signed in, each taken once; forgotten when they have expired.';

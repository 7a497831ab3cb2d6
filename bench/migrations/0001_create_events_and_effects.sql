create table events (
    id bigint generated always as identity constraint events_pk primary key,
    aggregate_id uuid not null,
    data text not null,
    happened_at timestamptz not null default now()
);
comment on table events is 'The business row of each write that is measured.';

create table effects (
    id bigint generated always as identity constraint effects_pk primary key,
    aggregate_id uuid not null,
    data text not null,
    seen_at timestamptz not null default now()
);
comment on table effects is 'The one effect of each event that a consumer handled.';

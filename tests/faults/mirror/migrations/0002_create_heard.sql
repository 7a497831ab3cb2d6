create table heard (
    id bigint generated always as identity constraint heard_pk primary key,
    type text not null,
    key uuid not null,
    version integer not null,
    groups text[] not null default '{}',
    event_id text not null
);
create index heard_of_key on heard (key, id);
comment on table heard is 'Whole states that auth told, in the order in which they came. Nothing is unique here on purpose.';

create table standing (
    type text not null,
    key uuid not null,
    epoch integer not null,
    version integer not null,
    groups text[] not null default '{}',
    constraint standing_pk primary key (type, key)
);
comment on table standing is 'The newest state of each, as a reader keeps it.';

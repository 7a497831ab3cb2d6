create table effects (
    id bigint generated always as identity constraint effects_pk primary key,
    book_id uuid not null,
    version integer not null,
    entry_id uuid not null,
    event_id text not null,
    at timestamptz not null default clock_timestamp()
);
create index effects_of_book on effects (book_id, id);
comment on table effects is 'What the events did, in the order in which they did it. Nothing is unique here on purpose.';

create table totals (
    book_id uuid not null constraint totals_pk primary key,
    entries integer not null
);
comment on table totals is 'A counter a book: an effect that is not idempotent by itself.';

create table moods (
    stumbling boolean not null default true,
    singleton boolean not null default true constraint moods_one_row unique constraint moods_is_true check (singleton)
);
insert into moods default values;
comment on table moods is 'Whether the handler fails now and then: false once it is mended.';

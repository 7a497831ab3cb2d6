create table books (
    id uuid not null constraint books_pk primary key,
    version integer not null default 0,
    closed boolean not null default false
);
comment on table books is 'The aggregate: its row is locked before an event about it is owed.';

create table entries (
    id bigint generated always as identity constraint entries_pk primary key,
    book_id uuid not null,
    version integer not null,
    entry_id uuid not null
);
create index entries_of_book on entries (book_id, version);
comment on table entries is 'What took effect. Nothing is unique here on purpose: what happens twice must be seen, not prevented.';

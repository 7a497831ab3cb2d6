create table outbox_holds (
    topic text not null,
    key text,
    refusals integer not null,
    held_at timestamptz not null default now(),
    constraint outbox_holds_once unique nulls not distinct (topic, key)
);
comment on table outbox_holds is 'What Kafka refuses of the outbox, as the leading relay last saw it: for operators to read, nothing decides by it.';
comment on column outbox_holds.key is 'The key whose message Kafka will not take; null where it is the whole topic.';

create table restores (
    epoch integer not null constraint restores_pk primary key,
    restored_at timestamptz not null default now()
);
comment on table restores is 'Each time this schema was restored from a backup, as `restored` noted it. The highest epoch counts.';

-- Bound to the table here and now: no search_path of a caller leads it elsewhere.
create function current_epoch() returns integer stable return (select coalesce(max(epoch), 1) from restores);
comment on function current_epoch() is 'The first half of every version that this service publishes: 1, or that of the last restore.';

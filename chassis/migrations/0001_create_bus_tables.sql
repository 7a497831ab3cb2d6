create table outbox (
    id bigint generated always as identity constraint outbox_pk primary key,
    message_id uuid not null,
    topic text not null,
    key text not null,
    type text not null,
    headers text not null,
    payload bytea not null,
    keeps_payload boolean not null,
    created_at timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table outbox is 'Messages owed to Kafka, written with the change they tell of; the leading relay sends them and moves them to outbox_published.';
comment on column outbox.headers is 'JSON object of the CloudEvents headers known when the message was written; the relay adds ce_time and ce_sequence.';
comment on column outbox.keeps_payload is 'False where the message carries a sealed secret: the archive then keeps only id, type and key.';

create table outbox_published (
    id bigint not null,
    message_id uuid not null,
    topic text not null,
    key text not null,
    type text not null,
    headers text,
    payload bytea,
    created_at timestamptz not null,
    published_at timestamptz not null default now()
) partition by range (published_at);
comment on table outbox_published is 'What Kafka acknowledged, a partition a day (UTC), dropped after the archive days of the settings; replay reads it.';

create function outbox_turn_over(keep_days integer) returns integer
language plpgsql security definer set search_path from current as $$
declare
    day date;
    part record;
    dropped integer := 0;
begin
    if keep_days < 0 then
        raise exception 'keep_days must not be negative, got %', keep_days;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('outbox_turn_over ' || current_schema, 0));
    for day in select d::date from generate_series(
        (now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date + 2, interval '1 day') d
    loop
        if to_regclass(format('outbox_published_%s', to_char(day, 'YYYYMMDD'))) is null then
            execute format(
                'create table outbox_published_%s partition of outbox_published for values from (%L) to (%L)',
                to_char(day, 'YYYYMMDD'), day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
        end if;
    end loop;
    for part in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'outbox_published'::regclass
          and to_date(right(c.relname, 8), 'YYYYMMDD') < (now() at time zone 'UTC')::date - keep_days
    loop
        execute format('drop table %I', part.relname);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;
comment on function outbox_turn_over(integer) is 'Makes the archive''s partitions of today and the next two days and drops those older than keep_days; runs with the owner''s rights because the login role owns nothing.';

create table inbox (
    source text not null,
    message_id text not null,
    handled_at timestamptz not null default now(),
    constraint inbox_pk primary key (source, message_id)
) with (autovacuum_vacuum_scale_factor = 0.02);
create index inbox_handled_at on inbox using brin (handled_at);
comment on table inbox is 'Every message that was handled or set aside, for the janitor''s days: a second coming has no effect.';

create table consumer_positions (
    lane text not null,
    topic text not null,
    partition integer not null,
    next_offset bigint not null,
    constraint consumer_positions_pk primary key (lane, topic, partition),
    constraint consumer_positions_offset_is_not_negative check (next_offset >= 0)
) with (fillfactor = 50);
comment on table consumer_positions is 'Where each lane goes on in each partition, written with the effects: a restored database goes on from its own truth.';

create table consumer_trials (
    lane text not null,
    topic text not null,
    partition integer not null,
    "offset" bigint not null,
    trials integer not null,
    constraint consumer_trials_pk primary key (lane, topic, partition, "offset")
);
comment on table consumer_trials is 'Messages being tried one at a time after a start, counted before the trial: one that kills its process is found.';

create table dead_letters (
    id bigint generated always as identity constraint dead_letters_pk primary key,
    lane text not null,
    topic text not null,
    partition integer not null,
    "offset" bigint not null,
    key_digest bytea,
    source text not null,
    message_id text not null,
    type text,
    sealed_record text not null,
    reason text not null,
    attempts integer not null,
    set_aside_at timestamptz not null default now(),
    next_attempt_at timestamptz not null,
    parked_at timestamptz,
    purge_at timestamptz,
    constraint dead_letters_message_once unique (source, message_id),
    constraint dead_letters_attempts_are_not_negative check (attempts >= 0)
);
create index dead_letters_due on dead_letters (next_attempt_at) where parked_at is null;
create index dead_letters_by_key on dead_letters (lane, topic, key_digest, id);
comment on table dead_letters is 'Messages that could not be handled, whole and sealed to this service. The first of a key is retried or parked; the later ones of that key wait behind it.';
comment on column dead_letters.key_digest is 'SHA-256 of the record''s key; null for a record without a key, which blocks nobody.';
comment on column dead_letters.purge_at is 'Set on messages of topics that carry sealed secrets: gone when the topic would have dropped them.';
comment on column dead_letters.sealed_record is 'The record (key, headers, value) as JWE to this service.';

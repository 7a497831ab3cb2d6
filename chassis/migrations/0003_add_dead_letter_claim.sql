alter table dead_letters add column claimed_until timestamptz;
comment on column dead_letters.claimed_until is 'While it is ahead, somebody tries this message again and nobody else may; it outlives the handler''s time limit.';

alter table dead_letters add column claimed_until timestamptz;
comment on column dead_letters.claimed_until is 'While it is ahead, somebody tries this message again and nobody else may; it outlives the handler''s time limit.';

-- One key with very many messages behind it must not make the planner look for the first of another by walking past them.
alter table dead_letters alter column key_digest set (n_distinct = -0.5);

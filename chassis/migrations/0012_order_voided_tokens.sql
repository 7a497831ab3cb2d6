alter table voided_tokens add column noted_in xid8 not null default pg_current_xact_id();
create index voided_tokens_in_order on voided_tokens (noted_in);
comment on column voided_tokens.noted_in is 'The transaction that noted it last: whoever has looked before reads on from the oldest that was under way then.';

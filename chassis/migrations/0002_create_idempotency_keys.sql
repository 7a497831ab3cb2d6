create table idempotency_keys (
    caller bytea not null,
    key text not null,
    route text not null,
    request_digest bytea not null,
    answer json,
    created_at timestamptz not null default now(),
    constraint idempotency_keys_pk primary key (caller, key),
    constraint idempotency_keys_caller_is_sha256 check (octet_length(caller) = 32),
    constraint idempotency_keys_key_is_visible_ascii check (key ~ '^[!-~]{1,128}$'),
    constraint idempotency_keys_request_is_sha256 check (octet_length(request_digest) = 32)
);
comment on table idempotency_keys is 'Answers to writes that named an Idempotency-Key, kept 24 hours: the same request again gets the same answer and has no second effect.';
comment on column idempotency_keys.caller is 'SHA-256 of who called; a key means something only together with its caller.';
comment on column idempotency_keys.route is 'Method and path template, for people who look.';
comment on column idempotency_keys.request_digest is 'SHA-256 of method, path, query and body: the same key with another request is refused.';
comment on column idempotency_keys.answer is 'What was answered. Null only inside the transaction that does the work.';

create index idempotency_keys_by_age on idempotency_keys (created_at);

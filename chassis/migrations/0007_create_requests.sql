create table requests (
    system text not null,
    request_id uuid not null,
    type text not null,
    value_sha256 bytea not null,
    received_at timestamptz not null default now(),
    answer_id uuid,
    answer_type text,
    answer text,
    constraint requests_pk primary key (system, request_id),
    constraint requests_value_is_sha256 check (octet_length(value_sha256) = 32),
    constraint requests_answer_is_whole check (num_nulls(answer_id, answer_type, answer) in (0, 3))
);
create index requests_by_age on requests (received_at);
comment on table requests is 'Requests of other systems that were decided, with their answers: the same request again has no second effect and gets the same answer.';
comment on column requests.request_id is 'The sender''s; it means something only together with its system.';
comment on column requests.value_sha256 is 'SHA-256 of the value that was decided on; the answer names it, so that whoever uses an id twice can see it.';
comment on column requests.answer_id is 'The ce_id of the answer. All of the answer is null only inside the transaction that decides.';
comment on column requests.answer is 'The answer''s value, JSON.';

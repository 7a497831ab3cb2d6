create table inbound_files (
    id uuid not null default uuidv7() constraint inbound_files_pk primary key,
    system text not null,
    upload_id uuid not null,
    sha256 bytea not null,
    length integer not null,
    received_at timestamptz not null default now(),
    completed_at timestamptz,
    expires_at timestamptz default now() + interval '1 hour',
    constraint inbound_files_sha256_is_one check (octet_length(sha256) = 32),
    constraint inbound_files_have_content check (length > 0)
);
create unique index inbound_files_upload_once on inbound_files (system, upload_id) where completed_at is not null;
create index inbound_files_expiring on inbound_files (expires_at) where expires_at is not null;
create index inbound_files_of_system on inbound_files (system) where expires_at is not null;
comment on table inbound_files is 'Files that other systems uploaded, to refer to in a request; each is its system''s alone.';
comment on column inbound_files.upload_id is 'The system''s own id of the upload: the same upload again is the same file.';
comment on column inbound_files.sha256 is 'What the system signed; the content was compared with it before completed_at was set.';
comment on column inbound_files.expires_at is 'When it is erased: an hour after an upload that was not finished, a day after one that nobody refers to. Null as long as the service needs it.';

create table inbound_chunks (
    file_id uuid not null constraint inbound_chunks_file_exists references inbound_files on delete cascade,
    place integer not null,
    content bytea not null,
    constraint inbound_chunks_pk primary key (file_id, place)
);
alter table inbound_chunks alter column content set storage external;
comment on table inbound_chunks is 'The content of inbound files, in pieces in their order.';

create table import_duplicates (
    id uuid not null default uuidv7() constraint import_duplicates_pk primary key,
    organisation_id uuid not null constraint import_duplicates_organisation_exists references organisations,
    reason text not null,
    user_name text,
    user_name_key text not null default '',
    address text not null,
    full_name text,
    language text not null,
    active boolean not null,
    groups text[] not null,
    imported_at timestamptz not null default now(),
    constraint import_duplicates_reason_is_known check (reason in ('address_taken', 'user_name_taken')),
    constraint import_duplicates_once unique (organisation_id, address, user_name_key)
);
alter table import_duplicates enable row level security, force row level security;
create policy import_duplicates_are_the_organisations_own on import_duplicates
    using (sees(organisation_id)) with check (sees(organisation_id));
comment on table import_duplicates is 'Imported people whose address or user name somebody has already: no account until a superuser clears them up (L17-L20).';

create table access_orders (
    id uuid not null default uuidv7() constraint access_orders_pk primary key,
    grantor text not null,
    organisation_asked uuid,
    organisation_number text,
    organisation_id uuid,
    source_digest bytea not null,
    address text not null,
    full_name text not null,
    language text not null,
    groups text[] not null,
    message text not null,
    ordered_at timestamptz not null default now(),
    told_at timestamptz,
    decided_at timestamptz,
    granted boolean,
    reason text,
    decided_by text,
    account_id uuid,
    constraint access_orders_grantor_is_known check (grantor in ('superuser', 'union')),
    constraint access_orders_name_one_organisation check ((organisation_asked is null) <> (organisation_number is null)),
    constraint access_orders_decision_is_whole check ((decided_at is null) = (granted is null) and (decided_at is null) = (decided_by is null))
);
create index access_orders_untold on access_orders (id) where told_at is null;
create index access_orders_open on access_orders (organisation_id, id) where decided_at is null;
create index access_orders_of_source on access_orders (source_digest, ordered_at);
create index access_orders_by_age on access_orders (ordered_at);
alter table access_orders enable row level security, force row level security;
create policy access_orders_are_the_organisations_own on access_orders
    using (sees(organisation_id, grantor = 'union')) with check (sees(organisation_id, grantor = 'union'));
comment on table access_orders is 'Who would like access (C3, U29), forgotten some months after. What was typed is looked up by a worker, after the answer, which tells nothing.';
comment on column access_orders.grantor is 'Who decides: superuser, of the organisation, or union.';
comment on column access_orders.organisation_id is 'The organisation that was meant; null until a worker has looked, and for good where there is none.';

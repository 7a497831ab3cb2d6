create index accounts_by_name on accounts (organisation_id, name_key, id) where organisation_id is not null;
create index accounts_by_address on accounts (organisation_id, address, id) where organisation_id is not null;
create index accounts_by_change on accounts (organisation_id, changed_at, id) where organisation_id is not null;
drop index accounts_of_organisation;

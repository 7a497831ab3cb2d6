create table organisations (
    id uuid not null default uuidv7() constraint organisations_pk primary key,
    name text not null,
    number text,
    kind text not null,
    active boolean not null default true,
    version integer not null default 1,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    constraint organisations_kind_is_known check (kind in ('customer', 'operator')),
    constraint organisations_number_is_whole check (number ~ '^[0-9]{9}$'),
    constraint organisations_number_once unique (number)
);
comment on table organisations is 'Whom people may act for. Public: it has no policy. Every change raises the version, and OrganisationChanged tells it.';
comment on column organisations.kind is 'customer, or operator: the union, the customer centre, the platform''s owner.';

alter table accounts
    add column organisation_id uuid constraint accounts_organisation_exists references organisations,
    add column full_name text,
    add column name_key text not null default '',
    add column field_versions jsonb not null default '{}';
create index accounts_of_organisation on accounts (organisation_id, id) where organisation_id is not null;
comment on column accounts.organisation_id is 'Home: its superusers alone edit the person''s data. Null for who belongs to none.';
comment on column accounts.name_key is 'The full name as it is sorted and searched, æ, ø and å last.';
comment on column accounts.field_versions is 'Field by name -> the version of the account that changed it last, so that a late editor is told what changed.';

create table memberships (
    id uuid not null default uuidv7() constraint memberships_pk primary key,
    account_id uuid not null,
    organisation_id uuid not null,
    version integer not null default 1,
    disowned boolean not null default false,
    changed_at timestamptz not null default now(),
    constraint memberships_of_organisation unique (id, organisation_id)
);
create unique index memberships_once on memberships (account_id, organisation_id) where not disowned;
create index memberships_in_organisation on memberships (organisation_id, account_id);
alter table memberships enable row level security, force row level security;
create policy memberships_are_the_organisations_own on memberships
    using (sees(organisation_id, true)) with check (sees(organisation_id, true));
comment on table memberships is 'Who acts for whom. A row stays when its last right is gone, and when its account or organisation is: it is the tombstone that RightsChanged tells.';
comment on column memberships.disowned is 'Known from a lost time alone: told of as without rights, so that readers drop it.';

create table grants (
    membership_id uuid not null,
    organisation_id uuid not null,
    group_name text not null,
    granted_at timestamptz not null default now(),
    granted_by text not null,
    constraint grants_pk primary key (membership_id, group_name),
    constraint grants_membership_exists foreign key (membership_id, organisation_id) references memberships (id, organisation_id)
);
create index grants_in_organisation on grants (organisation_id, group_name);
alter table grants enable row level security, force row level security;
create policy grants_are_the_organisations_own on grants
    using (sees(organisation_id, true)) with check (sees(organisation_id, true));
comment on table grants is 'Groups of rights (contracts/rights.py) that a membership has now.';
comment on column grants.granted_by is 'account:<id>, system:<name>, or operator.';

-- Three functions look past the scope, each for one narrow answer, and leave the scope as it was.
create function holds_anywhere(account uuid, groups text[]) returns boolean language plpgsql set search_path from current as $$
declare
    before constant text := coalesce(current_setting('samband.scope', true), '');
    found boolean;
begin
    perform set_config('samband.scope', 'system', true);
    found := exists (
        select from memberships m join grants g on g.membership_id = m.id
        where m.account_id = account and g.group_name = any(groups));
    perform set_config('samband.scope', before, true);
    return found;
end
$$;
comment on function holds_anywhere(uuid, text[]) is 'Whether an account holds one of these groups in any organisation. Support is refused wherever they act (L13). It says no more than yes or no.';

create function address_taken(wanted text) returns boolean language plpgsql set search_path from current as $$
declare
    before constant text := coalesce(current_setting('samband.scope', true), '');
    found boolean;
begin
    perform set_config('samband.scope', 'system', true);
    found := exists (select from accounts where address = wanted);
    perform set_config('samband.scope', before, true);
    return found;
end
$$;
comment on function address_taken(text) is 'Whether anybody has an address, of whatever organisation (L17, L18). It says no more than yes or no.';

create function end_memberships(gone uuid) returns setof memberships language plpgsql set search_path from current as $$
declare
    before constant text := coalesce(current_setting('samband.scope', true), '');
begin
    perform set_config('samband.scope', 'system', true);
    if exists (select from accounts where id = gone) then
        raise insufficient_privilege using message = 'the account is still there';
    end if;
    delete from grants g using memberships m where m.id = g.membership_id and m.account_id = gone;
    return query update memberships set version = version + 1, changed_at = now()
        where account_id = gone and not disowned returning *;
    perform set_config('samband.scope', before, true);
end
$$;
comment on function end_memberships(uuid) is 'Takes all rights of an account that is no more, in every organisation, and gives its memberships to be told of. Whoever erases a person may see one organisation alone.';

create table mail_troubles (
    account_id uuid not null constraint mail_troubles_pk primary key
        constraint mail_troubles_account_exists references accounts on delete cascade,
    organisation_id uuid,
    mail_id uuid not null,
    smtp_code integer,
    noted_at timestamptz not null
);
alter table mail_troubles enable row level security, force row level security;
create policy mail_troubles_are_the_organisations_own on mail_troubles
    using (sees(organisation_id, true)) with check (sees(organisation_id, true));
comment on table mail_troubles is 'Accounts whose present address did not take the last mail: shown to superusers until it is corrected or a mail arrives.';

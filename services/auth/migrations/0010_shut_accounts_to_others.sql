-- Who logs in is looked for by the system, the union and support look across organisations, and a superuser at the own people.
alter table accounts enable row level security, force row level security;
create policy accounts_are_their_homes_own on accounts
    using (sees(organisation_id, true)) with check (sees(organisation_id, true));

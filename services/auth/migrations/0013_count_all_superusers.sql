create function others_hold(organisation uuid, groups text[], besides uuid) returns boolean language plpgsql set search_path from current as $$
declare
    before constant text := coalesce(current_setting('samband.scope', true), '');
    found boolean;
begin
    perform set_config('samband.scope', 'system', true);
    found := exists (
        select from memberships m join grants g on g.membership_id = m.id join accounts a on a.id = m.account_id
        where m.organisation_id = organisation and g.group_name = any(groups) and a.active and a.id <> besides);
    perform set_config('samband.scope', before, true);
    return found;
end
$$;
comment on function others_hold(uuid, text[], uuid) is 'Whether an active account but one holds one of these groups in an organisation, wherever it is at home. It says no more than yes or no.';

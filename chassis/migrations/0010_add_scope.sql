create function sees(organisation uuid, staff_too boolean default false) returns boolean
language plpgsql stable parallel safe as $$
declare
    scope constant text := coalesce(current_setting('samband.scope', true), '');
begin
    if scope = '' then  -- Never set reads as null in a new session, and as '' in one where it was set before.
        raise insufficient_privilege using message = 'no scope is set in this transaction';
    end if;
    return case scope when 'system' then true when 'staff' then staff_too else organisation = scope::uuid end;
end
$$;
comment on function sees(uuid, boolean) is 'For policies of row level security: whether the transaction''s scope (samband.scope: system, staff, or an organisation''s id, set by the chassis) sees a row of this organisation. Staff see it where the policy says so. A row of no organisation is the system''s alone. Raises where no scope is set.';

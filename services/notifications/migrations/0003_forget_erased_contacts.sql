alter table contacts
    alter column address drop not null,
    alter column language drop not null,
    add constraint contacts_are_whole_or_erased check ((address is null) = (language is null)),
    add constraint contacts_erased_is_not_active check (address is not null or not active);
comment on column contacts.address is 'Null once the account was erased: id and version stay, so that nothing older brings the person back.';

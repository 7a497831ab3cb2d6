alter table mails
    add column sealed_address text,
    add column language text,
    drop constraint mails_once_a_message,
    add constraint mails_once_a_message unique (source, message_id, account_id),
    add constraint mails_address_has_language check ((sealed_address is null) or language is not null or settled_at is not null),
    add constraint mails_language_is_ours check (language in ('nb', 'nn', 'en')),
    add constraint mails_settled_keeps_no_address check (settled_at is null or sealed_address is null);
comment on column mails.account_id is 'To whom: an account, or where the message brings the address itself what the message is about.';
comment on column mails.sealed_address is 'The address as JWE to this service, where the message brings it: opened in the courier''s memory only, removed when the mail is settled.';

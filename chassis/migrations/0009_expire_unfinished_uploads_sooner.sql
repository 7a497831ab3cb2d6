alter table inbound_files alter column expires_at set default now() + interval '5 minutes';
comment on column inbound_files.expires_at is 'When it is erased: five minutes after the start of an upload that did not finish, a day after one that nobody refers to. Null as long as the service needs it.';

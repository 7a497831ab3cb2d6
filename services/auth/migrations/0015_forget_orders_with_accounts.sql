alter table access_orders add constraint access_orders_account_exists foreign key (account_id) references accounts on delete cascade;
create index access_orders_of_account on access_orders (account_id) where account_id is not null;
comment on column access_orders.account_id is 'Whose access came of the order: it goes with them, name, address and message.';

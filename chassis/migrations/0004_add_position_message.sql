alter table consumer_positions add column last_offset bigint, add column last_message text;
comment on column consumer_positions.last_message is 'Source and id of the message at last_offset, right before next_offset: another one there tells that the topic was made anew.';

alter table dead_letters
    add column deaths integer not null default 0,
    add constraint dead_letters_deaths_are_not_negative check (deaths >= 0);
comment on column dead_letters.deaths is 'Tries whose claim ran out before anybody said what came of them: the process died. Three of them park the message.';
comment on column dead_letters.claimed_until is 'Set while somebody tries this message, and taken away when he is done; while it is ahead nobody else may. It also tells his claim from a later one.';
comment on column consumer_positions.last_message is 'Source and id of the message at last_offset, right before next_offset, or the digest of a record that could not be read: another one there tells that the topic was made anew.';

create index sessions_ending on sessions (ends_at);
create index known_devices_seen on known_devices (seen_at);

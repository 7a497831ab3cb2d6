alter table mails add column traceparent text;
comment on column mails.traceparent is 'The trace (W3C Trace Context) in which the mail was owed: the courier goes on in it. Random ids, no data.';

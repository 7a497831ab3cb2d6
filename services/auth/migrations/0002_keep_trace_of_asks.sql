alter table challenges add column traceparent text;
comment on column challenges.traceparent is 'The trace (W3C Trace Context) in which the code was asked for: who issues it goes on in it. Random ids, no data.';

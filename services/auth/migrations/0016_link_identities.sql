alter table challenges
    add column proof_id uuid constraint challenges_proof_exists references identity_proofs on delete cascade,
    add column language text,
    drop constraint challenges_purpose_is_known,
    drop constraint challenges_code_has_account,
    add constraint challenges_purpose_is_known check (
        purpose in ('login', 'activation', 'password_reset', 'user_name', 'password_instructions', 'link', 'unlink')),
    add constraint challenges_code_has_account check (code_digest is null or account_id is not null or purpose = 'link'),
    add constraint challenges_link_has_proof check ((purpose = 'link') = (proof_id is not null and language is not null));
create index challenges_links_to on challenges (address_digest, settled_at) where purpose = 'link';
create index challenges_of_proof on challenges (proof_id) where proof_id is not null;
comment on column challenges.proof_id is 'The identity that the code links to whoever has the address: never another one.';

create table organisation_domains (
    domain text not null constraint organisation_domains_pk primary key,
    organisation_id uuid not null constraint organisation_domains_organisation_exists references organisations,
    constraint organisation_domains_are_normal check (domain = lower(domain) and domain not like '%@%')
);
create index organisation_domains_organisation on organisation_domains (organisation_id);
comment on table organisation_domains is 'Domains of employees'' addresses: whoever proves one of them and has no account is at home in the organisation, and has no rights there (I8).';

alter table accounts
    add column country text not null default 'NO',
    add column mobile text,
    add constraint accounts_country_is_a_code check (country ~ '^[A-Z]{2}$'),
    add constraint accounts_mobile_is_a_number check (mobile ~ '^[+][1-9][0-9]{6,14}$');
comment on column accounts.mobile is 'As in E.164. Shown on the person''s own page alone.';

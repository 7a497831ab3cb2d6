"""Every mutant, in the order in which they are hunted."""

from tests.mutants.catalogue import (
    asking,
    calling,
    granting,
    identifying,
    keeping_in,
    mailing,
    receiving,
    restoring,
    sending,
    signing_in,
    writing,
)

EVERY = (
    *writing.MUTANTS,
    *sending.MUTANTS,
    *receiving.MUTANTS,
    *mailing.MUTANTS,
    *signing_in.MUTANTS,
    *identifying.MUTANTS,
    *asking.MUTANTS,
    *calling.MUTANTS,
    *granting.MUTANTS,
    *keeping_in.MUTANTS,
    *restoring.MUTANTS,
)

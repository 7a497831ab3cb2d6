"""Mirror copies every entry that `ledger` tells of, in the order of arrival: the reading half of the fault suite's pair."""

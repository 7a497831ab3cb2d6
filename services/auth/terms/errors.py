"""What is declined about terms; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class NoSuchTerms(Refusal):
    """There are no terms of this name."""

    kind = Kind.MISSING


class NotTicked(Refusal):
    """Nothing is accepted yet.

    Tick that you have read the terms and accept them, and then choose Ok.
    """

    kind = Kind.UNPROCESSABLE


class TermsChanged(Refusal):
    """These terms have a newer version.

    Read it, and accept that one.
    """

    kind = Kind.CONFLICT


class TermsPending(Refusal):
    """There are terms to accept before this can be used.

    Read and accept them first: {terms}. They are shown, and accepted, at {where}.
    """

    kind = Kind.FORBIDDEN


class UnreadableTerms(Refusal):
    """This is no text of terms.

    The file must be UTF-8, and its last line must be `[ ] ` and the sentence that stands beside the tick.
    """

    kind = Kind.UNPROCESSABLE


class UnionUnnamed(Refusal):
    """The text names the union, and nothing says what it is called.

    Set SAMBAND_UNION_NAME.
    """

    kind = Kind.UNPROCESSABLE


class PublishedTextChanged(Refusal):
    """This version is published with another text, or asks differently.

    A published text never changes: give the new one a new version.
    """

    kind = Kind.CONFLICT

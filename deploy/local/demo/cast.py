"""The synthetic people who play, by what they are for."""

PEOPLE = {
    "kari.nordmann@eksempel.example": "nb",
    "aasne.fjell@eksempel.example": "nn",
    "john.smith@eksempel.example": "en",
}
CROWD = [f"medlem{n:02d}@eksempel.example" for n in range(1, 9)]
REFUSED = [f"{name}@eksempel.example" for name in ("feil", "brukt", "utlopt", "mange")]
STRANGER = "ukjent@eksempel.example"
NEWCOMER = "ny.medlem@eksempel.example"
SUPERUSER = "superbruker@eksempelbedriften.example"
USER, USER_MOVED = "ola.nordmann@eksempelbedriften.example", "ola.n@eksempelbedriften.example"
UNION = "kontoret@eksempelforbundet.example"
INTRUDER = "hvem.som.helst@eksempel.example"
EVERYBODY = [*PEOPLE, *CROWD, *REFUSED, NEWCOMER, SUPERUSER, USER, USER_MOVED, UNION]

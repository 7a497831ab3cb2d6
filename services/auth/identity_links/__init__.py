"""Identity links: an electronic ID and an account become one by a code to the work e-mail, and are parted again."""

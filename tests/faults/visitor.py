"""Visitor: a person in a browser, who also has a password, and may leave."""

from typing import Any

import httpx2

from deploy.local.journey import Person


class Visitor(Person):
    """A browser with its cookies, and what its person does there besides asking for codes to log in."""

    async def ask_to_activate(self, *, key: str) -> httpx2.Response:
        """Ask for a code to set a first password with."""
        return await self.send("POST", "/v1/activations", {"address": self.address}, key)

    async def activate(self, challenge_id: str, code: str, password: str) -> httpx2.Response:
        """Set a password with a code, which also logs in."""
        body = {"code": code, "new_password": password, "confirmation": password}
        return await self.send("POST", f"/v1/activations/{challenge_id}/password", body)

    async def log_in(self, password: str) -> httpx2.Response:
        return await self.send("POST", "/v1/sessions/by-password", {"login": self.address, "password": password})

    async def log_out(self) -> httpx2.Response:
        """Log out; the cookies stay, for a second tab has them still."""
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        return await self.client.request("DELETE", "/v1/session", headers=headers)

    async def end_others(self) -> httpx2.Response:
        return await self.send("DELETE", "/v1/sessions")

    async def see(self, user_id: str) -> httpx2.Response:
        """Look at a user, as a superuser does."""
        return await self.send("GET", f"/v1/users/{user_id}")

    async def edit(self, user_id: str, tag: str, changes: dict[str, Any]) -> httpx2.Response:
        """Change a user who is still in the state of this tag."""
        return await self.send("PATCH", f"/v1/users/{user_id}", changes, if_match=tag)

    async def set_right(self, user_id: str, group: str, *, gives: bool) -> httpx2.Response:
        """Give a user a group of rights, or take it away."""
        return await self.send("PUT" if gives else "DELETE", f"/v1/users/{user_id}/groups/{group}")

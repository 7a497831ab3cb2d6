"""The HTTP edge of organisations' users, and of who may do what."""

from fastapi import APIRouter

from services.auth.front import Front
from services.auth.users import directory_api, duplicates_api, users_api


def router(front: Front) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/v1", tags=["users"])
    for feature in (directory_api, users_api, duplicates_api):
        feature.add_routes(routes, front)
    return routes

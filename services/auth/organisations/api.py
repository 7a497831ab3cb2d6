"""The HTTP edge of organisations, of their users, and of who may do what."""

from fastapi import APIRouter

from services.auth.front import Front
from services.auth.organisations import directory_api, duplicates_api, orders_api, users_api


def router(front: Front) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/v1", tags=["organisations"])
    for feature in (directory_api, users_api, duplicates_api, orders_api):
        feature.add_routes(routes, front)
    return routes

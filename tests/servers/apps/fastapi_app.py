"""A FastAPI application that takes its key through HTTPBearer: ``fastapi_app PORT CERTIFICATE``."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

BEARER = HTTPBearer()


def check_key(credentials: Annotated[HTTPAuthorizationCredentials, Depends(BEARER)]) -> None:
    """Refuse a wrong key; HTTPBearer itself refuses a request without one."""
    if not secrets.compare_digest(credentials.credentials, os.environ["SERVER_KEY"]):
        raise HTTPException(401, "Invalid key")


app = FastAPI(dependencies=[Depends(check_key)])


@app.get("/items")
def read() -> list[str]:
    """Answer GET."""
    return ["item"]


@app.post("/items")
def write(item: dict[str, Any]) -> dict[str, Any]:
    """Answer POST with what it sent."""
    return item


@app.get("/stream")
def stream() -> StreamingResponse:
    """Answer in pieces."""

    def pieces() -> Iterator[str]:
        yield from ("one\n", "two\n", "three\n")

    return StreamingResponse(pieces(), media_type="text/plain")


if __name__ == "__main__":
    port, certificate = sys.argv[1:]
    uvicorn.run(app, host="127.0.0.1", port=int(port), ssl_certfile=certificate, ssl_keyfile=certificate)

"""Tests of the server, through a real uvicorn on loopback and real clients."""

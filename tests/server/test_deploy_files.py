"""The files of bond_server/deploy, as far as they can be tried without a container engine."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import re
import shutil
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import yaml
from websockets.asyncio.client import connect

from bond_core.settings import SettingsError
from bond_server.auth.secret import new_secret
from bond_server.environment import with_files
from tests.log.servers import free_ports, redis_server
from tests.server.programs import bond_serve

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "bond_server" / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
SEEDS_REQUEST = {"natural_language": "BTC price + volume every 1s"}


def of_profile(name):
    """Return the services that `--profile NAME` starts."""
    return {key: service for key, service in SERVICES.items() if name in service["profiles"]}


def test_nothing_is_published_but_on_loopback():
    """The ports are the ones the seed had, and only this machine reaches them."""
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    for profile, api, broker in (
        ("dev", "api-dev", "broker-dev"), ("production", "api", "broker"),
    ):  # fmt: skip
        assert of_profile(profile).keys() == {api, broker, "worker", "redis"}
        assert published[api] == ["127.0.0.1:8000:8000"]
        assert published[broker] == ["127.0.0.1:8080:8080"]


def test_each_service_says_how_it_does_and_holds_no_secret():
    """Every service has a health check; secrets come from files; only `dev` asks for no key."""
    assert all("healthcheck" in service for service in SERVICES.values())
    for name, service in SERVICES.items():
        environment = service.get("environment", {})
        assert not {"BOND_SECRET", "BOND_API_KEYS"} & environment.keys()
        assert ("BOND_OPEN" in environment) == name.endswith("-dev")
    assert "noeviction" in SERVICES["redis"]["command"]
    assert all(secret["file"].startswith("./secrets/") for secret in COMPOSE["secrets"].values())


def test_the_development_profile_serves_the_seeds_request(tmp_path):
    """Its commands and variables, over a real Redis: healthy by its checks, and records arrive."""
    (tmp_path / "bond_secret").write_text(new_secret() + "\n")
    (tmp_path / "api_keys").write_text("")
    dev = of_profile("dev")

    async def run(redis_port):
        ports = dict(zip(dev, free_ports(len(dev)), strict=True))
        given = {
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0", "BOND_SIMULATE": "1",
            "WS_HOST": f"localhost:{ports['broker-dev']}", "BOND_DATA_DIR": str(tmp_path),
        }  # fmt: skip
        async with asyncio.timeout(90), AsyncExitStack() as stack:
            for name in ("worker", "api-dev", "broker-dev"):
                service = dev[name]
                words = list(service["command"][1:])
                words[words.index("--port") + 1] = str(ports[name])
                variables = {
                    key: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value).replace(
                        "/run/secrets", str(tmp_path)
                    )
                    for key, value in service["environment"].items()
                }
                await stack.enter_async_context(bond_serve(tmp_path, *words, **variables | given))
                assert await healthy(service, ports[name]) == 0
            async with httpx.AsyncClient(trust_env=False) as http:
                created = await http.post(
                    f"http://127.0.0.1:{ports['api-dev']}/v1/streams", json=SEEDS_REQUEST,
                    headers={"Host": "localhost:8000"},
                )  # fmt: skip
            assert created.status_code == 201, created.text
            url = created.json()["ws_url"]
            assert url.startswith(f"ws://localhost:{ports['broker-dev']}/ws/")
            async with connect(url, proxy=None) as socket:
                record = json.loads(await socket.recv())
            assert record["symbol"] == "BTC/USDT"
        assert await healthy(dev["worker"], ports["worker"]) == 1

    with redis_server(tmp_path / "redis") as (_, port):
        asyncio.run(run(port))


async def healthy(service, port):
    """Run a service's health check, and return its exit status."""
    _, program, _ = service["healthcheck"]["test"]
    assert program == "bond-healthy"
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(DEPLOY / "healthy.py"), str(port), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert bool(said) == bool(process.returncode)
    return process.returncode


def test_the_production_profile_asks_for_keys(tmp_path):
    """Without a key it does not start where others reach it: exit status 78."""
    (tmp_path / "bond_secret").write_text(new_secret())
    environ = {
        "BOND_SECRET_FILE": str(tmp_path / "bond_secret"), "BOND_DATA_DIR": str(tmp_path),
        "REDIS_URL": "redis://127.0.0.1:1/0", "PYTHONPATH": ":".join(sys.path),
    }  # fmt: skip
    code = "import sys; from bond_server.cli import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", code, *SERVICES["api"]["command"]],
        env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 78
    assert "bond keys new" in ended.stderr


def test_the_image_is_slim_and_its_user_is_nobody_special():
    """What the Dockerfile copies is there and not ignored; it ends as a user of its own."""
    text = (DEPLOY / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert set(stages) == {"python:3.11-slim"}
    last = text.rpartition("FROM ")[2]
    assert re.search(r"^USER bond$", last, re.MULTILINE)
    assert last.index("USER bond") > last.index("useradd")
    kept = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
            if line.startswith("!")]  # fmt: skip
    needed = ["requirements.txt", "pyproject.toml", "bond_server/deploy/healthy.py"]
    needed += re.findall(
        r"^\.?/?(?:-c )?([\w./-]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
    for name in filter(None, (name.strip("./") for name in needed)):
        top = name.split("/")[0]
        assert (ROOT / top).exists(), name
        assert any(fnmatch.fnmatch(top, pattern) for pattern in kept), name


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path):
    """`systemd-analyze verify` finds nothing but that Bond isn't installed in /opt."""
    unit = tmp_path / "bond@all.service"
    unit.write_text(
        (DEPLOY / "bond@.service").read_text().replace("/opt/bond/bin/bond", "/bin/true")
    )
    ended = subprocess.run(
        [str(shutil.which("systemd-analyze")), "verify", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_stands_in_files_is_read_and_never_twice(tmp_path):
    """NAME_FILE gives NAME; both at once, or a file that isn't there, is refused by name."""
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    environ = {"BOND_SECRET_FILE": str(path), "OTHER": "1"}
    assert with_files(environ) == {"BOND_SECRET": "s3cret", "OTHER": "1"}
    with pytest.raises(SettingsError, match="BOND_SECRET_FILE"):
        with_files(environ | {"BOND_SECRET": "x"})
    with pytest.raises(SettingsError, match="REDIS_URL_FILE"):
        with_files({"REDIS_URL_FILE": str(tmp_path / "none")})

"""No URL that a user may give makes this process connect to where it must not.

Every connect() of the process is watched from inside, by an audit hook, and a listener on all
addresses of this machine counts what arrives.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
import trustme
from websockets.asyncio.server import serve

from bond_core.clock import SystemClock
from bond_core.errors import Fatal, Retryable
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_core.runtime.http import fetch_json
from bond_core.runtime.outside import Outside
from bond_core.runtime.websocket import open_websocket

EVERYWHERE = "*"
ONE = b"HTTP/1.1 200 X\r\nContent-Length: 1\r\n\r\n1"
_watched: list[tuple[str, object]] | None = None


def _watch(event, arguments):
    if _watched is not None and event in ("socket.connect", "socket.getaddrinfo"):
        _watched.append((event, arguments[1] if event == "socket.connect" else arguments[0]))


sys.addaudithook(_watch)  # for good: hooks can't be taken off, so it is deaf most of the time


@pytest.fixture(name="watched")
def _watching():
    """What this process connects to and looks up during a test."""
    global _watched  # noqa: PLW0603
    _watched = []
    yield _watched
    _watched = None


def connected_to(watched):
    """Return the addresses of every connect that was tried."""
    return [what[:2] for event, what in watched if event == "socket.connect"]


class Listener:
    """Takes connections on a port of this machine, gives each an answer, and closes it.

    An answer of None leaves the client waiting.
    """

    def __init__(self, answer: bytes | None = b""):
        self.accepted = []
        self.connections = 0
        self.port = 0
        self._answer = answer
        self.served = []
        self.is_called = asyncio.Event()

    @asynccontextmanager
    async def listening(self, host="127.0.0.1", port=0, tls=None):
        if host == EVERYWHERE:
            everywhere = socket.create_server(
                ("", 0), family=socket.AF_INET6, dualstack_ipv6=socket.has_dualstack_ipv6()
            )
            server = await asyncio.start_server(self._serve, sock=everywhere)
        else:
            server = await asyncio.start_server(self._serve, host, port, ssl=tls)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            yield self
            await asyncio.gather(*self.served, return_exceptions=True)

    async def _serve(self, reader, writer):
        self.served.append(asyncio.current_task())
        self.connections += 1
        self.is_called.set()
        try:
            self.accepted.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if self._answer is None:
                await reader.read()
            else:
                writer.write(self._answer)
        except (OSError, EOFError):  # it left
            pass
        finally:
            writer.close()
            await writer.wait_closed()


class Names:
    """A resolver that gives each name its answers, one after the other; the last one stays."""

    def __init__(self, **answers):
        self.answers = {name.replace("_", "."): list(given) for name, given in answers.items()}
        self.asked = []

    async def __call__(self, host):
        self.asked.append(host)
        given = self.answers[host]
        return given.pop(0) if len(given) > 1 else given[0]


def networks(*texts):
    """Return networks that an operator opens."""
    return tuple(ip_network(text) for text in texts)


def outside(names=None, *, own=(), tls=None, **policy):
    """Return the way out of one connector."""
    egress = Egress(EgressPolicy(**policy), resolve=names or Names(), tls=tls)
    return Outside(egress, own=own, simulated_at=None, clock=SystemClock())


async def both(way, url):
    """Try a URL as HTTP and as WebSocket; return what came of it."""
    came = []
    for scheme in (url.replace("ws", "http", 1), url):
        try:
            if scheme is url:
                async with way.ws(url):
                    came.append("connected")
            else:
                came.append(await way.get_json(scheme))
        except (Fatal, Retryable) as error:
            came.append(error)
    return came


LITERALS = [
    # loopback, in every dress
    "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7f.0.0.1",
    "0177.0.0.1", "017700000001", "127.0.0.1.", "127.000.000.001", "%31%32%37.0.0.1",
    "\u2460\u2461\u2466.0.0.1", "127\u30020\u30020\u30021", "[::1]", "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::127.0.0.1]", "[2002:7f00:1::1]", "[2001:0:7f00:1::80ff:fffe]", "0.0.0.0", "0",  # noqa: S104
    "[::]", "[::1%25lo]",
    # metadata and its neighbours
    "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518",
    "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]",
    "[fd00:ec2::254]", "[fe80::1]", "192.0.0.192", "100.100.100.200", "168.63.129.16",
    # inside
    "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "[fd12:3456::1]", "198.18.0.1",
    "224.0.0.1", "255.255.255.255", "[ff02::1]", "203.0.113.1", "[2001:db8::1]",
    # who is the host?
    "good.example@127.0.0.1", "127.0.0.1\\@good.example", "good.example#@127.0.0.1",
    "127.0.0.1\n.good.example", "127.0.0.1 .good.example", "good.example:443@127.0.0.1",
]  # fmt: skip
BEHIND_NAMES = [
    "127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1",
    "2001:0:7f00:1::80ff:fffe", "169.254.169.254", "10.0.0.1", "fd00:ec2::254", "fe80::1%1",
    "0.0.0.0", "192.0.0.192", "100.64.0.1", "224.0.0.1", "8.8.8.8 127.0.0.1",  # noqa: S104
    "2606:4700::1111 ::1",
]  # fmt: skip
"""What a user's own domain may resolve to."""


@pytest.mark.parametrize("host", LITERALS, ids=ascii)
def test_no_host_of_the_corpus_is_connected_to(host, watched):
    """By no scheme, on the allowed ports, the plain one, and that of a listener here."""

    async def go():
        async with Listener().listening(EVERYWHERE) as here:
            way = outside(ports=frozenset({443, 8443, here.port}))
            came = []
            for url in (
                f"wss://{host}:{here.port}/",
                f"ws://{host}:{here.port}/",
                f"wss://{host}/",
            ):
                came += await both(way, url)
            return came, here.accepted

    came, accepted = asyncio.run(go())

    assert all(isinstance(each, Fatal) and each.code == "forbidden_url" for each in came)
    assert accepted == []
    assert watched == [] or connected_to(watched) == []


@pytest.mark.parametrize("answer", BEHIND_NAMES)
def test_no_name_of_the_corpus_is_connected_to(answer, watched):
    """Whatever a name resolves to, alone or besides something public."""

    async def go():
        async with Listener().listening(EVERYWHERE) as here:
            names = Names(evil_example=[answer.split()])
            way = outside(names, ports=frozenset({here.port}))
            return await both(way, f"wss://evil.example:{here.port}/"), here.accepted

    came, accepted = asyncio.run(go())

    assert [str(each) for each in came] == ["evil.example does not lead to a public address"] * 2
    assert accepted == []
    assert connected_to(watched) == []


def test_the_watch_is_awake(watched):
    """What is let through is seen: by the hook, and by the listener."""

    async def go():
        async with Listener(ONE).listening(EVERYWHERE) as here:
            private = networks("127.0.0.0/8")
            came = await both(outside(private=private), f"ws://127.0.0.1:{here.port}/")
            return came, len(here.accepted), here.port

    came, accepted, port = asyncio.run(go())

    assert came[0] == 1
    assert accepted == 2
    assert connected_to(watched) == [("127.0.0.1", port)] * 2


def test_a_name_that_changes_its_mind_is_checked_each_time(watched):
    """It leads to an allowed address while it is checked, and to a forbidden one from then on."""

    async def go():
        good = Listener(ONE)
        async with good.listening("127.0.0.2"):
            names = Names(rebind_example=[["127.0.0.2"], ["127.0.0.1"]])
            way = outside(names, private=networks("127.0.0.2/32"))
            url = f"http://rebind.example:{good.port}/"
            first = await way.get_json(url)
            with pytest.raises(Retryable, match="does not lead to a public address"):
                await way.get_json(url)
            return first, names.asked, good.port

    first, asked, port = asyncio.run(go())

    assert first == 1
    assert asked == ["rebind.example"] * 2
    assert connected_to(watched) == [("127.0.0.2", port)]
    assert ("socket.getaddrinfo", "rebind.example") not in watched


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status, watched):
    """Not to metadata, not to a neighbour, and not even to where it came from."""

    async def go():
        async with Listener().listening() as elsewhere:
            for to in (
                "http://169.254.169.254/latest/meta-data/", f"ws://127.0.0.1:{elsewhere.port}/",
                "/again",
            ):  # fmt: skip
                moved = Listener(
                    f"HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()
                )
                async with moved.listening():
                    way = outside(private=networks("127.0.0.0/8"))
                    came = await both(way, f"ws://127.0.0.1:{moved.port}/")
                    assert [type(each) for each in came] == [Fatal, Fatal]
                    assert "redirects are not followed" in str(came[0])
                    assert "169.254" not in str(came)
                    assert len(moved.accepted) == 2
            return elsewhere.accepted

    assert asyncio.run(go()) == []
    assert len(connected_to(watched)) == 6


def test_the_environments_proxy_is_not_used(watched, monkeypatch):
    """A proxy would look the name up again, in its own place."""

    async def go():
        async with Listener().listening() as proxy, Listener().listening("127.0.0.2") as good:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
                monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.port}")
            names = Names(good_example=[["127.0.0.2"]])
            way = outside(names, private=networks("127.0.0.0/8"))
            await both(way, f"ws://good.example:{good.port}/")
            return proxy.accepted, len(good.accepted)

    assert asyncio.run(go()) == ([], 2)


# The pinned connection


class Certified:
    """A TLS server's and its client's contexts; notes the names asked for by SNI."""

    def __init__(self, *names):
        authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(self.server)
        self.asked = []
        self.server.sni_callback = lambda _, name, __: self.asked.append(name)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)


def test_http_goes_to_the_pinned_address_under_its_name(watched):
    """The name is in SNI, in the certificate and in the Host header; it is looked up once."""

    async def go():
        certified = Certified("api.acme.example")
        here = Listener(b'HTTP/1.1 200 X\r\nContent-Length: 7\r\n\r\n{"a":1}')
        async with here.listening(tls=certified.server):
            names = Names(api_acme_example=[["127.0.0.1"]])
            way = outside(names, private=networks("127.0.0.0/8"), tls=certified.client)
            came = await way.get_json(f"https://api.acme.example:{here.port}/v1", params={"a": "ä"})
            return came, certified.asked, here, names.asked

    came, sni, here, asked = asyncio.run(go())

    assert came == {"a": 1}
    assert sni == ["api.acme.example"]
    assert here.accepted[0].startswith("GET /v1?a=%C3%A4 HTTP/1.1\r\n")
    assert f"\r\nhost: api.acme.example:{here.port}\r\n" in here.accepted[0].lower()
    assert asked == ["api.acme.example"]
    assert connected_to(watched) == [("127.0.0.1", here.port)]


def test_a_websocket_goes_to_the_pinned_address_under_its_name(watched):
    """As above, and what is sent comes back."""

    async def go():
        certified, hosts = Certified("stream.acme.example"), []

        async def echo(connection):
            hosts.append(connection.request.headers["Host"])
            await connection.send(await connection.recv())

        async with serve(echo, "127.0.0.1", 0, ssl=certified.server) as server:
            port = server.sockets[0].getsockname()[1]
            names = Names(stream_acme_example=[["127.0.0.1"]])
            way = outside(names, private=networks("127.0.0.0/8"), tls=certified.client)
            async with way.ws(f"wss://stream.acme.example:{port}/v1") as ws:
                await ws.send_json({"a": 1})
                return await ws.recv(), certified.asked, hosts, names.asked, port

    came, sni, hosts, asked, port = asyncio.run(go())

    assert came == '{"a": 1}'
    assert (sni, hosts) == (["stream.acme.example"], [f"stream.acme.example:{port}"])
    assert asked == ["stream.acme.example"]
    assert connected_to(watched) == [("127.0.0.1", port)]


def test_a_certificate_of_another_name_is_no_use():
    """Whoever is at the address must be who the name says; what was wrong is not told."""

    async def go():
        certified = Certified("other.example")
        async with Listener().listening(tls=certified.server) as here:
            names = Names(api_acme_example=[["127.0.0.1"]])
            way = outside(names, private=networks("127.0.0.0/8"), tls=certified.client)
            came = await both(way, f"wss://api.acme.example:{here.port}/")
            return came, here.accepted

    came, accepted = asyncio.run(go())

    assert [str(each) for each in came] == ["api.acme.example can't be reached"] * 2
    assert accepted == []


def test_the_next_address_is_tried():
    """A host of which one address is down is reached at another, each of them checked."""

    async def go():
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # bound, so nobody else gets it; not listening
            port = closed.getsockname()[1]
            there = Listener(ONE)
            async with there.listening("127.0.0.2", port):
                names = Names(two_example=[["127.0.0.1", "127.0.0.2"]])
                way = outside(names, private=networks("127.0.0.0/8"))
                return await both(way, f"ws://two.example:{port}/"), there.connections

    came, connections = asyncio.run(go())

    assert came[0] == 1
    assert connections == 2


@pytest.mark.parametrize("how", ["refused", "silent", "plain", "other"])
def test_what_a_port_is_good_for_can_not_be_found_out(how, monkeypatch):
    """Closed, mute, without TLS, or something else altogether: a user hears the same."""
    monkeypatch.setattr("bond_core.runtime.websocket.CONNECT_S", 0.3)

    async def go():
        here = Listener({"silent": None, "other": b"SSH-2.0-x\r\n\r\n"}.get(how, b""))
        async with here.listening():
            egress = Egress(EgressPolicy(private=networks("127.0.0.0/8")))
            place = f"127.0.0.1:{1 if how == 'refused' else here.port}/"
            tls = "s" if how == "plain" else ""
            page = await egress.route(f"http{tls}://{place}")
            stream = await egress.route(f"ws{tls}://{place}")
            came = []
            for opening in (fetch_json(page, timeout_s=0.3), connected(stream)):
                with pytest.raises(Retryable) as caught:
                    await opening
                came.append(str(caught.value))
            return came

    async def connected(route):
        async with open_websocket(route, clock=SystemClock()):
            pass

    assert asyncio.run(go()) == ["127.0.0.1 can't be reached"] * 2


def test_each_way_has_its_schemes():
    """A page is no WebSocket, and the other way round."""

    async def go():
        way = outside(private=networks("127.0.0.0/8"))
        with pytest.raises(Fatal, match="https://"):
            await way.get_json("wss://127.0.0.1/")
        with pytest.raises(Fatal, match="wss://"):
            async with way.ws("https://127.0.0.1/"):
                pass

    asyncio.run(go())


def test_giving_up_leaves_no_connection_open():
    """One that is cancelled while a mute server is to agree on TLS is closed all the same."""

    async def go():
        here = Listener()
        async with here.listening():
            way = outside(private=networks("127.0.0.0/8"))
            trying = asyncio.create_task(way.get_json(f"https://127.0.0.1:{here.port}/"))
            await here.is_called.wait()
            trying.cancel()
            await asyncio.wait({trying})
            async with asyncio.timeout(5):
                await asyncio.gather(*here.served)  # the server sees it go

    asyncio.run(go())

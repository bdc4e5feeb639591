"""The SDK where a language model proposes what a sentence may mean."""

from __future__ import annotations

import asyncio

import pytest

from bond_core.testing.loopback_http import LoopbackHttp
from ekko import EkkoClient
from ekko.errors import BadRequestError
from tests.server.running import serving
from tests.server.test_proposals import GOOD, ODD, settings_for


def test_an_error_has_the_proposal_and_its_sentence_makes_the_stream(monkeypatch):
    """And without a model there is none, but a word on how to get one."""

    async def run():
        async with LoopbackHttp(lambda _: GOOD) as endpoint:
            model = settings_for(endpoint.url)
            async with serving(monkeypatch, model=model) as server:
                client = EkkoClient(f"http://{server.address}")
                with pytest.raises(BadRequestError) as refused:
                    await client.create_stream(ODD)
                proposal = refused.value.proposal
                assert proposal is not None
                assert proposal["sentence"] in str(refused.value)
                stream = await client.create_stream(proposal["sentence"])
                assert stream.spec == proposal["spec"]
                explained = await client.explain(proposal["sentence"])
                assert explained.stream_id == stream.stream_id
                assert explained.sentence == proposal["sentence"]
                back = await client.explain({**proposal["spec"], "label": "mine"})
                assert (back.sentence, back.unsayable) == (None, ["/label"])
                assert explained.cost["subscriptions"] == 1
                assert explained.understood["filler"] == []
        async with serving(monkeypatch) as server:
            with pytest.raises(BadRequestError, match="DEEPSEEK_API_KEY") as refused:
                await EkkoClient(f"http://{server.address}").create_stream(ODD)
            assert refused.value.proposal is None

    asyncio.run(run())

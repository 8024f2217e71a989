"""The two servers that workflow tests run on are what they are said to be."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from orchestrator.app.temporal_server import EmbeddedServer
from workflows import search_attributes

A_DAY = 24 * 60 * 60.0


@workflow.defn
class WaitsADay:
    @workflow.run
    async def run(self) -> float:
        start = workflow.now()
        await asyncio.sleep(A_DAY)
        return (workflow.now() - start).total_seconds()


async def test_the_real_server_knows_the_search_attributes(temporal_env: EmbeddedServer) -> None:
    client = await Client.connect(temporal_env.address, namespace=temporal_env.namespace)
    known = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
    assert set(known.custom_attributes) == {attribute.name for attribute in search_attributes.ALL}


async def test_a_day_passes_in_a_moment(time_skipping_env: WorkflowEnvironment) -> None:
    client = time_skipping_env.client
    async with Worker(client, task_queue="a-day", workflows=[WaitsADay]):
        begin = asyncio.get_running_loop().time()
        waited = await client.execute_workflow(WaitsADay.run, id="a-day", task_queue="a-day")
        assert waited >= A_DAY
        assert asyncio.get_running_loop().time() - begin < 30

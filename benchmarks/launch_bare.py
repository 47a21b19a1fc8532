"""The baseline of `bench-launch`: a bare boto3 script, `run_instances` and a wait loop, one thread for each launch.

It has no database, no money, no timer at AWS and no page: it asks, looks at its own machine each second until it runs,
and then knocks at the notebook's door each second.
"""

import asyncio
import http.client
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.endpoint import Endpoint
from benchmarks.launch_people import NOTEBOOK_PORT, Notebooks

WAIT_SECONDS = 1.0
_THREADS = 64


@dataclass
class Bare:
    began_at: float
    cloud_id: str
    ready_at: float


def bare_launches(endpoint: Endpoint, count: int, seconds: float) -> tuple[list[Bare], dict[str, float], Counter[str]]:
    """All at once. Also when each notebook began to answer, and the calls."""
    import boto3

    calls: Counter[str] = Counter()
    session = boto3.session.Session(region_name="us-east-1")
    session.events.register("before-send.*", lambda event_name, **_: calls.update([event_name.rsplit(".", 1)[1]]))
    ec2 = session.client("ec2", endpoint_url=endpoint.url)
    network = endpoint.ask("GET", "network")
    subnet = next(iter(network["subnets"].values()))

    def one(began_at: float) -> Bare:
        made = ec2.run_instances(
            ImageId=network["image_id"], SubnetId=subnet, InstanceType="g4dn.xlarge", MinCount=1, MaxCount=1
        )
        cloud_id = made["Instances"][0]["InstanceId"]
        end = time.monotonic() + seconds
        address = ""
        while not address and time.monotonic() < end:
            time.sleep(WAIT_SECONDS)
            [group] = ec2.describe_instances(InstanceIds=[cloud_id])["Reservations"]
            found = group["Instances"][0]
            address = found["PrivateIpAddress"] if found["State"]["Name"] == "running" else ""
        while not _answers(address) and time.monotonic() < end:
            time.sleep(WAIT_SECONDS)
        return Bare(began_at, cloud_id, time.time())

    async def all_of_them() -> tuple[list[Bare], dict[str, float]]:
        notebooks = Notebooks(endpoint)
        watching = asyncio.create_task(notebooks.watch())
        try:
            return await asyncio.to_thread(_together, one, count), notebooks.answers_at
        finally:
            watching.cancel()
            notebooks.close()

    found, answers_at = asyncio.run(all_of_them())
    endpoint.terminate([one.cloud_id for one in found])
    return found, answers_at, calls


def _together(one, count: int) -> list[Bare]:
    threading.stack_size(256 * 1024)
    began_at = time.time()
    with ThreadPoolExecutor(min(count, _THREADS)) as pool:
        return list(pool.map(lambda _n: one(began_at), range(count)))


def _answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address, NOTEBOOK_PORT, timeout=1.5)
    try:
        connection.request("GET", "/api")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

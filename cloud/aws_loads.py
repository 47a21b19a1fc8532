"""CloudWatch on machines, in one batched question. It costs $0.01 per thousand metrics: only for silent machines."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import boto3
from botocore.config import Config

from cloud.ec2_errors import our_words
from cloud.loads import Load

QUERIES = 500  # that one GetMetricData takes
PERIOD = 300  # seconds; what EC2 measures without detailed monitoring
_GPU = "nvidia_smi_utilization_gpu"
# Field of a Load: namespace and metric.
_METRICS = {
    "cpu_percent": ("AWS/EC2", "CPUUtilization"),
    "net_rx_bytes": ("AWS/EC2", "NetworkIn"),
    "gpu_percent": ("CWAgent", _GPU),
}


class AwsLoads:
    def __init__(self, *, region: str, endpoint_url: str | None) -> None:
        config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})
        self._watch = boto3.session.Session(region_name=region).client(
            "cloudwatch", endpoint_url=endpoint_url, config=config
        )

    def loads(self, cloud_ids: Sequence[str], since: datetime, until: datetime) -> Mapping[str, Load]:
        ids, size = list(dict.fromkeys(cloud_ids)), QUERIES // len(_METRICS)
        found: dict[str, dict[str, float]] = {}
        for first in range(0, len(ids), size):
            batch = ids[first : first + size]
            for number, name, values in self._ask(batch, since, until):
                if values:
                    found.setdefault(batch[number], {})[name] = max(values)
        return {one: Load(**found.get(one, {})) for one in ids}

    def _ask(self, batch: list[str], since: datetime, until: datetime) -> Iterator[tuple[int, str, list[float]]]:
        asked = [_query(number, one, name) for number, one in enumerate(batch) for name in _METRICS]
        with our_words():
            pages = self._watch.get_paginator("get_metric_data").paginate(
                MetricDataQueries=asked, StartTime=since, EndTime=until
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    number, _underscore, name = result["Id"].removeprefix("m").partition("_")
                    yield int(number), name, result["Values"]


def _query(number: int, cloud_id: str, name: str) -> dict[str, Any]:
    namespace, metric = _METRICS[name]
    dimensions = [{"Name": "InstanceId", "Value": cloud_id}]
    found = {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions}
    stat = "Sum" if name == "net_rx_bytes" else "Maximum"
    return {"Id": f"m{number}_{name}", "MetricStat": {"Metric": found, "Period": PERIOD, "Stat": stat}}
